// @ts-check
// What is shown while files are on their way: the part "upload" of #live-messages, put after the file field. A bar, a
// text or a button that the author has placed in the form, or beside it in the view, takes the place of ours. A morph
// may take all of it away: it comes back.

import { cloneTemplate, queryAll } from "./dom.js";

const BAR = "progress[data-live-upload]";
const TEXT = "[data-live-upload-text]";
const CANCEL = "[data-live-cancel-upload]";
const STEP = 25; // per cent between two announcements to screen readers

/** Return how many announcements are due: one every 25 %, and a last one when all is sent.
 * @param {number} sent @param {number} total bytes; 0: all is sent */
export const announcementsDue = (sent, total) => (total ? Math.floor((100 * sent) / total / STEP) : 100 / STEP + 1);

/** @param {string | undefined} text with {} for the per cent @param {number} sent @param {number} total */
export const formatPercent = (text, sent, total) => (text || "").replace("{}", `${Math.floor((100 * sent) / total)}`);

export class UploadIndicator {
  #trigger;
  #signal;
  #abort;
  #sent = 0;
  #total = 1; // 0: all is sent
  #announced = 0;
  #template = cloneTemplate("upload");
  /** @type {HTMLElement} */
  #element = cloneTemplate("upload") || document.createElement("div");
  /** @type {Record<string, (event: any) => void>} */
  #listeners = {
    click: (event) => this.#cancel(event.target),
    "live:applied": () => this.#draw(),
    "htmx:finally:request": (event) => this.#end(event.detail),
  };

  /** @param {HTMLElement} trigger @param {AbortSignal} signal of the request @param {() => void} abort */
  constructor(trigger, signal, abort) {
    this.#trigger = trigger;
    this.#signal = signal;
    this.#abort = abort;
    for (const [type, listener] of Object.entries(this.#listeners)) document.addEventListener(type, listener);
  }

  /** @param {number} sent @param {number} total bytes; 0: all is sent */
  show(sent, total) {
    this.#sent = sent;
    this.#total = total;
    this.#draw();
  }

  #draw() {
    const total = this.#total;
    const sent = this.#sent;
    if (!this.#trigger.isConnected) return;
    if (!this.#element.isConnected) this.#place();
    const bar = this.#part(BAR);
    const text = this.#part(TEXT);
    const cancel = this.#part(CANCEL);
    for (const element of [bar, text]) element?.classList.add("live-on");
    cancel?.classList.toggle("live-on", total > 0); // what has arrived is not called back
    if (bar && total) Object.assign(bar, { max: total, value: sent });
    else bar?.removeAttribute("value");
    const { sending = "{} %", working = "" } = this.#template?.querySelector(TEXT)?.dataset || {};
    if (text) text.textContent = total ? formatPercent(sending, sent, total) : working;
    this.#announce();
  }

  /** Put ours after the file field, outside of what would disable or label it. */
  #place() {
    const trigger = /** @type {any} */ (this.#trigger);
    const place = trigger.matches("[type=file]") ? null : trigger.closest("form");
    const inputs = place ? queryAll("[type=file]", place) : [trigger];
    const field = inputs.find((input) => input.files?.length) || trigger;
    (field.closest("fieldset[data-live-disable],label") || field).after(this.#element);
  }

  #announce() {
    const status = /** @type {HTMLElement | null} */ (this.#element.querySelector("[role=status]"));
    const due = announcementsDue(this.#sent, this.#total);
    if (!status || due <= this.#announced) return;
    this.#announced = due;
    const { sending, working = "" } = status.dataset;
    status.textContent = this.#total ? formatPercent(sending, this.#sent, this.#total) : working;
  }

  /** Return the author's part, which removes ours, or ours. @param {string} selector @returns {any} */
  #part(selector) {
    const ours = this.#element.querySelector(selector);
    const authors = this.#authorsPart(selector);
    if (authors) ours?.remove();
    return authors || ours;
  }

  /** Return a part in the form, or in the view but in no other form. @param {string} selector @returns {any} */
  #authorsPart(selector) {
    const form = this.#trigger.closest("form");
    const view = this.#trigger.closest("[data-live]") || document.body;
    return [...(form?.querySelectorAll(selector) || []), ...view.querySelectorAll(selector)].find(
      (element) => !this.#element.contains(element) && [null, form].includes(element.closest("form")),
    );
  }

  /** @param {any} target of a click */
  #cancel(target) {
    const button = target.closest?.(CANCEL);
    if (!button || (button !== this.#authorsPart(CANCEL) && !this.#element.contains(button))) return;
    this.#trigger.dispatchEvent(new CustomEvent("htmx:abort", { bubbles: true })); // not the network's fault
    this.#abort();
  }

  /** @param {any} detail of the event that ends a request of htmx */
  #end(detail) {
    if (detail?.ctx?.request.signal !== this.#signal) return;
    for (const [type, listener] of Object.entries(this.#listeners)) document.removeEventListener(type, listener);
    if (this.#trigger.isConnected)
      for (const selector of [BAR, TEXT, CANCEL]) this.#authorsPart(selector)?.classList.remove("live-on");
    this.#element.remove();
  }
}

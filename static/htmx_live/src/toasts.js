// @ts-check
// Toasts and the banner. Every text is in the template #live-messages, in a part for each level and each status.

import { cloneTemplate, emit, isWebUrl, queryAll } from "./dom.js";

const ERROR = "live:error";
const NOTICE = "live:notice";
const TOAST = ".live-toast";
const SECONDS = 6;

// Statuses beside those of HTTP; the template has a part for each.
export const NO_ANSWER = "none";
export const REMOUNTED = "remounted";
export const RESTARTED = "restarted";
export const UNSHARED = "unshared";

/** @typedef {import("./requests.js").LiveRequest} LiveRequest */

const statusKey = (/** @type {string | number} */ status) => "status-" + status;

/** Return what to say once views were mounted again: only that it cost the user an event, or a part of what the page
 * showed. @param {{isEventLost: boolean, hasLostState: boolean, isSaid: (status: string) => boolean}} facts */
export function remountedStatus({ isEventLost, hasLostState, isSaid }) {
  if (isEventLost || isSaid(NO_ANSWER)) return REMOUNTED;
  return hasLostState && !isSaid(REMOUNTED) ? RESTARTED : null;
}

export class Toasts {
  #client;
  /** @type {WeakMap<Element, LiveRequest>} what "Try again" sends */
  #requests = new WeakMap();
  /** @type {WeakMap<Element, number>} seconds in which the user could see it */
  #ages = new WeakMap();

  /** @param {Pick<import("./client.js").Client, "browser" | "requests">} client */
  constructor(client) {
    this.#client = client;
  }

  /** Say what a status means. @param {string | number} status @param {LiveRequest | null} [request]
   * @param {string} [detail] the parameter's name, the error's id or Django's reason */
  showError(status, request, detail = "") {
    const toast = cloneTemplate(status) || cloneTemplate("other");
    const text = toast?.querySelector("[data-live-text]");
    if (!emit(ERROR, { status, handler: request?.handler, detail }, request?.trigger) || !text) return;
    text.textContent = text.textContent.replace("{}", detail).trim();
    if (request) this.#requests.set(toast, request);
    this.#show(toast, statusKey(status));
  }

  /** Show a notice, or dismiss the one whose id is `key`: it was seen in another tab. @param {any} notice */
  showNotice(notice) {
    const { message, level, key, url, id } = notice;
    if (!message) return this.dismiss(key);
    const toast = cloneTemplate(level) || cloneTemplate("info");
    if (!emit(NOTICE, notice) || !toast) return;
    toast.id = id || "";
    const link = document.createElement("a");
    link.href = url;
    link.append(message);
    toast.querySelector("[data-live-text]").append(url && isWebUrl(url) ? link : message);
    this.#show(toast, key);
  }

  /** @param {{isEventLost?: boolean, hasLostState?: boolean}} losses */
  showRemounted({ isEventLost = false, hasLostState = false }) {
    const isSaid = (/** @type {string} */ status) => !!queryAll(`${TOAST}[data-key=${statusKey(status)}]`)[0];
    const status = remountedStatus({ isEventLost, hasLostState, isSaid });
    this.dismiss(statusKey(NO_ANSWER));
    if (!status) return;
    if (status === REMOUNTED) this.dismiss(statusKey(RESTARTED));
    this.showError(status);
  }

  /** @param {any} toast it takes the place of the one with the same key */
  #show(toast, key = "") {
    this.dismiss(key);
    toast.dataset.key = key;
    const place = queryAll("[data-live-toasts]")[0] || document.body.appendChild(cloneTemplate("toasts"));
    place.append(toast);
  }

  /** @param {string} key the id or the key of a toast */
  dismiss(key) {
    if (key) for (const toast of queryAll(TOAST)) if (toast.id === key || toast.dataset.key === key) toast.remove();
  }

  /** @param {string | number} status */
  dismissError(status) {
    this.dismiss(statusKey(status));
  }

  /** An event succeeded: earlier failures of it in the same view are settled. @param {LiveRequest} request */
  dismissRetries({ handler, root }) {
    for (const toast of queryAll(TOAST)) {
      const failed = this.#requests.get(toast);
      if (failed?.handler === handler && failed?.root === root) toast.remove();
    }
  }

  /** Called every second. A toast goes after some seconds in which it could be seen, but not from under the pointer or
   * the focus, and not if it is an alert. */
  age() {
    if (this.#client.browser.isHidden()) return;
    for (const toast of queryAll(`${TOAST}:not([role=alert],:hover,:focus-within)`)) {
      const age = (this.#ages.get(toast) ?? 0) + 1;
      this.#ages.set(toast, age);
      if (age >= Number(toast.dataset.liveSeconds || SECONDS)) toast.remove();
    }
  }

  /** A button of a toast, or of a banner, was clicked. @param {any} target */
  click(target) {
    const button = target.closest?.("[data-live-action]");
    const toast = button?.closest(TOAST);
    if (!button) return;
    const action = button.dataset.liveAction;
    const request = this.#requests.get(toast);
    toast?.remove();
    if (action === "reload") location.reload();
    if (action === "retry" && request) this.#client.requests.resend(request);
  }
}

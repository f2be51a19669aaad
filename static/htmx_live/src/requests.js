// @ts-check
// Requests: one for each event, from the click to its end. Each has a nonce, by which the server knows one that it has
// already run.

import { FIELD, ROOT, rootIdOf } from "./dom.js";
import { csrfToken } from "./page.js";
import { NO_ANSWER } from "./toasts.js";

/**
 * @typedef {object} LiveRequest
 * @property {string} [handler] none: a push, which is swapped as the answer to an event is
 * @property {string} [key] the job key
 * @property {string} [args] JSON, the values that the template gives
 * @property {any} [trigger]
 * @property {string} [root] the id of the live view
 * @property {string} [grant] of that view, at the time of the click
 * @property {string} [nonce]
 * @property {boolean} [isTyping] a newer one in the same control supersedes it
 * @property {boolean} [isValue] it carries the value of a field
 * @property {string} [url]
 * @property {any} [body]
 * @property {() => void} [proceed] ends its wait for earlier requests
 * @property {boolean} [isSuperseded]
 * @property {boolean} [isSent]
 * @property {boolean} [isAnswered]
 * @property {boolean} [isAborted]
 * @property {boolean} [isRepeated] the value of a field, sent for the second time
 * @property {boolean} [resetsForms] edited fields take the server's values
 */

/** @param {Uint8Array} bytes @returns {string} hex digits */
export const toHex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** Return the value with which a field takes part in a form now; null: it does not. @param {any} field */
export function submittedValue({ type, name, checked, value }) {
  if (!/checkbox|radio/.test(type)) return value;
  if (!name) return String(checked);
  return checked ? value : null;
}

export class Requests {
  #client;
  /** @type {LiveRequest[]} values of fields that got no answer, for when the server answers again */
  #unanswered = [];

  /** @param {import("./client.js").Client} client */
  constructor(client) {
    this.#client = client;
  }

  #nonce() {
    return toHex(this.#client.browser.randomBytes(16));
  }

  /** Describe the event that htmx is about to send. @param {any} trigger @param {any} event @param {FormData} body
   * @returns {LiveRequest} */
  create(trigger, { type }, body) {
    const { liveEvent: handler, liveKey: key, liveArgs: args } = trigger.dataset;
    if (args) body.set("_args", args);
    if (!trigger.name && trigger.matches("input,select,textarea,button[value]"))
      body.set("value", trigger.type === "checkbox" ? trigger.checked : trigger.value);
    return {
      handler,
      key,
      args,
      trigger,
      root: rootIdOf(trigger),
      grant: trigger.closest(ROOT)?.dataset.live,
      nonce: this.#nonce(),
      isTyping: /^(input|key|every)/.test(type),
      isValue: /^(input|key|change|search)/.test(type) && trigger.matches(FIELD),
    };
  }

  /** Send a request when its turn has come; htmx calls this in place of fetch.
   * @param {LiveRequest} request @param {string} url @param {any} init @param {any} htmxContext */
  async send(request, url, init, htmxContext) {
    const { browser, htmx, page } = this.#client;
    const restartTimeout = () => htmx.restartTimeout(htmxContext);
    htmx.stopTimeout(htmxContext); // waiting for its turn does not count
    await this.#client.queue.turn(request, init.signal);
    if (request.isSuperseded) return new Response(null, { status: 204 });
    restartTimeout();
    request.url ||= url;
    request.body ||= init.body;
    request.isSent = !init.signal.aborted;
    await this.#client.sync.reattached(); // settles which root this is for
    const { live = request.grant || "", liveRev = "0" } = this.#client.fragments.rootOf(request.root)?.dataset || {};
    const headers = {
      ...init.headers,
      "X-Live": live,
      "X-Live-Rev": liveRev,
      "X-Live-Nonce": request.nonce,
      "X-CSRFToken": csrfToken(page),
    };
    const hasFiles = [...request.body].some(([, value]) => value.size);
    const { send = browser.fetch } = hasFiles ? await browser.load(page.upload).catch(() => ({})) : {};
    return send(request.url, { ...init, body: request.body, headers }, request.trigger, restartTimeout);
  }

  /** End a request, whether it was answered or not. @param {LiveRequest} request */
  settle(request) {
    this.#client.queue.settle(request);
    if (request.isSent && !request.isAnswered) {
      this.#client.sync.request();
      if (request.isValue) this.#unanswered.push(request);
      else if (!request.isAborted) this.#client.toasts.showError(NO_ANSWER, request);
    }
    this.#client.fragments.flushDeferred();
    this.#client.refresh();
  }

  /** Send a request again, under the same nonce if the server may have run it. @param {LiveRequest} request */
  resend(request, isRepeated = request.isRepeated) {
    const nonce = request.isAnswered ? this.#nonce() : request.nonce;
    this.#client.htmx.post({ ...request, isRepeated, isSent: false, isAnswered: false, nonce });
  }

  /** Send the value of a field again that got lost, if the field still has it. Only once: the handler may be what kills
   * the server. Return false if the user should decide. @param {LiveRequest} request */
  repeat(request) {
    const { isValue, isRepeated, isAborted, trigger, body } = request;
    if (!isValue || isRepeated || isAborted || !trigger.isConnected) return false;
    // A newer value has an event of its own.
    if (body.get(trigger.name || "value") === submittedValue(trigger)) this.resend(request, true);
    return true;
  }

  /** The server answers again: send the values that got no answer. */
  repeatUnanswered() {
    for (const request of this.#unanswered.splice(0))
      if (!this.repeat(request) && !request.isAborted) this.#client.toasts.showError(NO_ANSWER, request);
  }
}

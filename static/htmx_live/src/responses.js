// @ts-check
// What the status and the headers of an answer say. Its partials are htmx's to swap.

import { splitWords } from "./dom.js";

/** Return the milliseconds after which a page that lives in another process's memory may ask again.
 * @param {{status: number, headers: any}} response @returns {number} 0: for good */
export const retryDelay = ({ status, headers }) => (status === 410 ? Number(headers.get("Retry-After")) * 1000 : 0);

/** Return whether an answer is not ours: a login page, for example. htmx would swap it. @param {any} htmxContext */
export function isForeign({ text, hx, response: { status, raw } }) {
  return raw.redirected || (status === 200 && !/<hx-partial/.test(text) && !hx.redirect && !hx.refresh);
}

export class Responses {
  #client;

  /** @param {import("./client.js").Client} client */
  constructor(client) {
    this.#client = client;
  }

  /** Read the headers that any answer may have, to plain htmx too. Return why Django's CSRF check refused the request.
   * @param {(name: string) => string | null} header reads X-Live-…
   * @param {import("./requests.js").LiveRequest} [request] */
  readHeaders(header, request) {
    const { page, toasts } = this.#client;
    for (const notice of JSON.parse(header("Notices") || "[]")) toasts.showNotice(notice);
    if (header("Page")) {
      page.number ||= header("Number") ?? "";
      Object.assign(page, { page: header("Page"), csrf: header("CSRF") });
      this.#client.connection.open();
    }
    const refused = header("Refused");
    if (refused) toasts.showError(refused, request, header("Reason") || "");
    return refused;
  }

  /** Read the answer to any request of htmx 4; one to a live event may change what htmx does with it.
   * @param {any} htmxContext */
  read(htmxContext) {
    const { hx, response, live: request } = htmxContext;
    const { status } = response;
    /** @param {string} name @returns {string | null} */
    const header = (name) => response.headers.get("X-Live-" + name);
    const refused = this.readHeaders(header, request);
    if (!request?.handler) return;
    const { toasts } = this.#client;
    const [how, url] = splitWords(header("Url"));
    if (url) hx[how + "url"] = url;
    request.isAnswered = true;
    request.resetsForms = !!header("Reset-Forms");
    const isError = status > 399;
    const isNotOurs = isForeign(htmxContext);
    const delay = retryDelay(response);
    if (delay) this.#client.connection.refuse(status, delay);
    else if (isNotOurs || (isError && !header("Notices") && !refused))
      toasts.showError(isNotOurs ? 403 : status, request, header("Field") || header("Error") || "");
    if (isNotOurs || isError) {
      htmxContext.text = ""; // never swapped
      return;
    }
    if (header("Remounted") && !this.#client.requests.repeat(request)) toasts.showRemounted({ isEventLost: true });
    this.#client.reachability.confirm();
    toasts.dismissRetries(request);
  }
}

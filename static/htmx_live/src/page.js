// @ts-check
// What the server says about this page in <meta name="htmx-live">, and the grants that outlive a reload of it.

import { CSRF_FIELD, ROOT, queryAll, resolveUrl } from "./dom.js";
import { readTab, writeTab } from "./storage.js";

/**
 * The data attributes of the meta element, so all of them are strings. The page grant, the number of the last message
 * and the CSRF token change while the page is open.
 * @typedef {object} Page
 * @property {string} [page] the page's grant; none before anything on the page is live
 * @property {string} [number] where the page is in its channels, the Last-Event-ID
 * @property {string} [csrf]
 * @property {string} [csrfCookie] left out where scripts cannot read the cookie
 * @property {string} url under which htmx_live.urls is included
 * @property {string} upload the address of upload.js
 * @property {string} plain the address of plain.js
 * @property {string} progress the address of progress.js
 * @property {string} heartbeat seconds
 * @property {string} poll seconds
 * @property {string} hiddenClose seconds
 * @property {string} groups classes of the elements that group triggers with loading directives
 */

/** Return the present CSRF token: a login, or another tab's first page, replaces the cookie that this page came with.
 * @param {Pick<Page, "csrf" | "csrfCookie">} page */
export function csrfToken(page, cookies = document.cookie) {
  const prefix = page.csrfCookie + "=";
  const cookie = cookies
    .split("; ")
    .filter((one) => one.startsWith(prefix))
    .pop();
  return cookie?.split("=")[1] || page.csrf || "";
}

/** Name this page in a request of plain htmx, so that what is live in the answer joins it.
 * @param {Page} page @param {Record<string, string>} headers @param {string} url @param {any} [body] */
export function identifyPage(page, headers, url, body) {
  if (!page.page || resolveUrl(url).origin !== location.origin) return;
  headers["X-Live-Page"] = page.page;
  // A render that is sent to many viewers has an empty token, in hx-headers and in forms.
  if (headers["X-CSRFToken"] === "") headers["X-CSRFToken"] = csrfToken(page);
  if (body?.has?.(CSRF_FIELD)) body.set(CSRF_FIELD, csrfToken(page)); // Django reads it before the header
}

const storageKey = () => "live:" + location.pathname + location.search;

/** Save the grants of the roots on this page for the same page after a reload, or on the way back. */
export function saveGrants() {
  writeTab(storageKey(), JSON.stringify(queryAll(ROOT).map((root) => root.dataset.live)));
}

/** @returns {string[]} the grants that this page had before a reload */
export function savedGrants() {
  const [navigation] = /** @type {any[]} */ (performance.getEntriesByType("navigation"));
  return /reload|back/.test(navigation?.type) ? JSON.parse(readTab(storageKey()) || "[]") : [];
}

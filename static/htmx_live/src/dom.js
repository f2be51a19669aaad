// @ts-check
// Elements of live views: how to find them, and how to dispatch events on them.

export const ROOT = "[data-live]";
export const TRIGGER = "[data-live-event]:not([data-live-progress])";
export const SUBSCRIPTION = "[data-live-subscription]";
export const PROGRESS_CARD = "[data-live-progress]";
export const TEXT_STREAM = "[data-live-stream]";
export const FIELD = "input:not([type=file]),textarea,select";
export const CSRF_FIELD = "csrfmiddlewaretoken";

/** @param {string} selector @param {any} [from] @returns {any[]} */
export const queryAll = (selector, from = document) => [...from.querySelectorAll(selector)];

/** @param {string | null} [text] words with white space between them */
export const splitWords = (text) => (text || "").split(/\s+/).filter(Boolean);

/** Return the id of the live view that `element` is in. @param {any} element @returns {string | undefined} */
export const rootIdOf = (element) => element.closest(ROOT)?.id;

/** @param {string} url */
export const resolveUrl = (url) => new URL(url, document.baseURI);

/** Return whether a link may lead to `url`: "javascript:" may not. @param {string} url */
export const isWebUrl = (url) => /^http/.test(resolveUrl(url).protocol);

/** Copy a part of the template #live-messages, which holds every text; undefined if a project left it out.
 * @param {string | number} name @returns {any} */
export function cloneTemplate(name) {
  const template = /** @type {any} */ (document.getElementById("live-messages"));
  return template?.content?.querySelector(`[data-live-part~="${name}"]`)?.cloneNode(true);
}

/** Dispatch an event on `element`, or on document once that was removed. Return false if a listener prevented the
 * default. @param {string} type @param {any} [detail] @param {any} [element] @returns {boolean} */
export function emit(type, detail, element = document) {
  const target = element.isConnected ? element : document;
  return target.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, cancelable: true }));
}

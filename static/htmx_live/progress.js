// @ts-check
// What a card of progress asks for at its end: once, in a tab that has seen it go on. htmx-live.js loads this when the
// first card is on the page.

/** What this tab remembers; storage may be forbidden, or full. @param {string} key @param {string} [value] */
const memory = (key, value) => {
  try {
    return value == null ? sessionStorage[key] : (sessionStorage[key] = value);
  } catch {}
};

/** @param {[HTMLElement, DOMStringMap]} card the element, and what stood in it when it was shown */
export function finish([elt, { liveProgress: session, liveDone: status, liveEvent, liveRedirect }]) {
  const mark = "live-" + session;
  if (!status) return memory(mark, "1");
  if (!memory(mark)) return;
  memory(mark, "");
  const target = elt.isConnected ? elt : document;
  if (liveEvent) target.dispatchEvent(new CustomEvent(liveEvent, { detail: { session, status }, bubbles: true }));
  const url = new URL(liveRedirect || "", document.baseURI);
  if (status === "complete" && liveRedirect && url.origin === location.origin) location.assign(url);
}

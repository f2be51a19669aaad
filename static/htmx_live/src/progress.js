// @ts-check
// What a card of progress asks for at its end: an event, a redirect. Once, and only in a tab that has seen it go on.
// Loaded when the first card is on the page.

import { resolveUrl } from "./dom.js";
import { readTab, writeTab } from "./storage.js";

/** @param {[any, DOMStringMap]} card the element, and its data attributes when it was shown */
export function finish([element, { liveProgress: session, liveDone: status, liveEvent, liveRedirect }]) {
  const key = "live-" + session;
  if (!status) return writeTab(key, "1");
  if (!readTab(key)) return;
  writeTab(key, "");
  const target = element.isConnected ? element : document;
  if (liveEvent) target.dispatchEvent(new CustomEvent(liveEvent, { detail: { session, status }, bubbles: true }));
  const url = resolveUrl(liveRedirect || "");
  if (status === "complete" && liveRedirect && url.origin === location.origin) location.assign(url);
}

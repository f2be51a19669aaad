// @ts-check
// Tells the server which notices the user has seen, so that they go from the other tabs and come up no more. A notice
// is seen when its toast goes away in a visible tab, or when its link is followed. {% toasts %} loads this.

const ID_PREFIX = "live-notice-";
const PLACE = "[data-live-toasts]";

/** @param {any} toast */
function reportSeen(toast) {
  const meta = /** @type {HTMLElement | null} */ (document.querySelector("meta[name=htmx-live]"));
  if (!meta || !toast?.id?.startsWith(ID_PREFIX)) return;
  const { url, page = "" } = meta.dataset;
  fetch(`${url}notices/`, {
    method: "POST",
    keepalive: true, // a link that is followed leaves the page
    body: new URLSearchParams({ id: toast.id.slice(ID_PREFIX.length) }),
    headers: { "X-Live-Page": page, "X-CSRFToken": /** @type {any} */ (window).htmxLive.csrf() },
  }).catch(() => {}); // then it comes again on the next page
}

/** @param {MutationRecord[]} records */
function reportRemoved(records) {
  if (document.hidden) return;
  for (const { target, removedNodes } of records) {
    // When the whole place goes, with a page that is swapped for example, nothing was seen.
    if (!target.isConnected || !(/** @type {Element} */ (target).matches(PLACE))) continue;
    // Where another one has its id, a newer one took its place.
    for (const toast of /** @type {any} */ (removedNodes)) if (!document.getElementById(toast.id)) reportSeen(toast);
  }
}

new MutationObserver(reportRemoved).observe(document, { childList: true, subtree: true });

document.addEventListener("click", ({ target }) => {
  const link = /** @type {Element} */ (target).closest?.(".live-toast a");
  if (link) reportSeen(link.closest(".live-toast"));
});

// @ts-check
// Tells the server which notices the user has seen, so that they go from the other tabs and come up no more.
// A notice is seen when its toast goes away in a tab that is looked at, or when its link is followed.

const MARK = "live-notice-", PLACE = "[data-live-toasts]";

/** @param {any} toast */
function seen(toast) {
  const meta = /** @type {HTMLElement | null} */ (document.querySelector("meta[name=htmx-live]"));
  if (!meta || !toast?.id?.startsWith(MARK)) return;
  const { url, page = "" } = meta.dataset, csrf = /** @type {any} */ (window).htmxLive.csrf();
  fetch(`${url}notices/`, { method: "POST", keepalive: true, body: new URLSearchParams({ id: toast.id.slice(MARK.length) }),
    headers: { "X-Live-Page": page, "X-CSRFToken": csrf } }).catch(() => {}); // then it comes again on the next page
}

new MutationObserver((records) => {
  if (document.hidden) return;
  for (const { target, removedNodes } of records)
    // When the whole place goes, with a page that is swapped for example, nothing was seen.
    if (target.isConnected && /** @type {Element} */ (target).matches(PLACE))
      for (const toast of /** @type {any} */ (removedNodes)) if (!document.getElementById(toast.id)) seen(toast);
}).observe(document, { childList: true, subtree: true });

document.addEventListener("click", ({ target }) => {
  const link = /** @type {Element} */ (target).closest?.(".live-toast a");
  if (link) seen(link.closest(".live-toast"));
});

// @ts-check
// Layouts: puts streamed panels in place, and shows the retry button of lazy ones. The first placeholder loads this, as
// a classic script.
//
// Streamed: the server sends, at the end of the page and in any order, pairs of
//   <template data-layout-for="NAME">…</template><template data-layout-ready="NAME"></template>
// The parser inserts an element before it has read what is in it, so a panel is placed when its second half is there.
// Placed means: the placeholder [data-layout-stream] of that name is replaced by the template's content.
//
// Lazy: htmx loads them; a request that ends without an answer uncovers the button that the placeholder holds, and the
// text of the error.

const READY = "template[data-layout-ready]";
const ARRIVED = "layouts:arrived";
const FAILURES = [
  ...["htmx:error", "htmx:response:error"], // htmx 4
  ...["htmx:responseError", "htmx:sendError", "htmx:timeout", "htmx:swapError"], // htmx 2
];
const INSTALLED = "data-layouts"; // each placeholder of a page that was loaded by htmx may bring the script again

/** @param {Element} ready the second half of a pair */
function place(ready) {
  const name = ready.getAttribute("data-layout-ready") ?? "";
  const arrived = ready.previousElementSibling;
  if (!(arrived instanceof HTMLTemplateElement) || arrived.getAttribute("data-layout-for") !== name) return;
  const milliseconds = Number(ready.getAttribute("data-layout-ms"));
  ready.remove();
  arrived.remove();
  const slot = document.querySelector(`[data-layout-stream][data-layout-panel="${CSS.escape(name)}"]`);
  if (!slot) return;
  const elements = [...arrived.content.children];
  slot.replaceWith(arrived.content);
  // Before htmx has started there is nothing to do: it starts with the whole page.
  const { htmx } = /** @type {any} */ (window);
  if (htmx?.process) for (const element of elements) htmx.process(element);
  document.dispatchEvent(new CustomEvent(ARRIVED, { detail: { panel: name, milliseconds, elements } }));
}

function placeAll() {
  for (const ready of document.querySelectorAll(READY)) place(ready);
}

/** Let the user retry a panel whose request failed. @param {any} event of htmx */
function showRetry({ detail, target }) {
  const source = detail?.ctx?.sourceElement ?? detail?.elt ?? target;
  const panel = source instanceof Element ? source.closest("[data-layout-panel]") : null;
  if (!panel || (source !== panel && !source.matches("[data-layout-retry]"))) return;
  panel.setAttribute("aria-busy", "false");
  for (const part of panel.querySelectorAll("[data-layout-retry], [data-layout-error]")) part.removeAttribute("hidden");
}

function install() {
  document.documentElement.setAttribute(INSTALLED, "");
  for (const failure of FAILURES) document.addEventListener(failure, showRetry);
  placeAll();
  if (document.readyState !== "loading") return;
  const arrivals = new MutationObserver(placeAll);
  arrivals.observe(document.documentElement, { childList: true, subtree: true });
  document.addEventListener("DOMContentLoaded", () => {
    arrivals.disconnect();
    placeAll();
  });
}

if (!document.documentElement.hasAttribute(INSTALLED)) install();

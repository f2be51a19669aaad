// @ts-check
// Partials on a page without htmx 4: they replace what they name. Loaded when the first one comes.

import { CSRF_FIELD, emit, queryAll } from "./dom.js";

const APPLIED = "live:applied";

/** How each hx-swap puts content into the page.
 * @type {Record<string, (target: any, content: DocumentFragment) => void>} */
const SWAPS = {
  beforebegin: (target, content) => target.before(content),
  afterbegin: (target, content) => target.prepend(content),
  beforeend: (target, content) => target.append(content),
  afterend: (target, content) => target.after(content),
  delete: (target) => target.remove(),
  outer: (target, content) => target.replaceWith(content),
  inner: (target, content) => target.replaceChildren(content),
};

/** @param {string | null} name a value of hx-swap; "outerMorph" and "outerHTML" are the same without htmx 4 */
export const swapFor = (name) => SWAPS[(name || "inner").replace(/^(outer|inner).*/, "$1")];

/** @param {string} text partials, one or more */
export function swap(text) {
  const holder = document.createElement("template");
  holder.innerHTML = text.replace(/<(\/?)hx-partial/g, "<$1template");
  for (const partial of queryAll("template", holder.content))
    for (const target of queryAll(partial.getAttribute("hx-target") || "html")) {
      const elements = [...partial.content.children];
      swapFor(partial.getAttribute("hx-swap"))(target, partial.content);
      const { htmx, htmxLive } = /** @type {any} */ (window);
      for (const element of elements) htmx?.process?.(element); // htmx 2
      // A partial that is sent to many viewers has an empty token.
      for (const token of queryAll(`input[name=${CSRF_FIELD}]`)) token.value ||= htmxLive.csrf();
      emit(APPLIED, { id: target.id }, target);
    }
}

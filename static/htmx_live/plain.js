// @ts-check
// Partials on a page without htmx 4: they replace what they name. htmx-live.js loads this when the first one comes.

/** @type {Record<string, "before" | "prepend" | "append" | "after">} */
const ADDS = { beforebegin: "before", afterbegin: "prepend", beforeend: "append", afterend: "after" };

/** @param {string} text partials, one or more */
export function swap(text) {
  const holder = document.createElement("template");
  holder.innerHTML = text.replace(/<(\/?)hx-partial/g, "<$1template");
  for (const one of holder.content.querySelectorAll("template"))
    for (const target of document.querySelectorAll(one.getAttribute("hx-target") || "html")) {
      const how = one.getAttribute("hx-swap") || "innerMorph"; // delete, inner…, outer…, or where to add
      const elements = [...one.content.children];
      if (how === "delete") target.remove();
      else if (how[0] === "o") target.replaceWith(one.content);
      else if (how[0] === "i") target.replaceChildren(one.content);
      else target[ADDS[how]](one.content);
      for (const element of elements) /** @type {any} */ (window).htmx?.process?.(element); // htmx 2
      const { id } = target, place = target.isConnected ? target : document;
      /** @type {NodeListOf<HTMLInputElement>} */
      const tokens = document.querySelectorAll("input[name=csrfmiddlewaretoken]"); // what is sent to many has none
      for (const token of tokens) token.value ||= /** @type {any} */ (window).htmxLive.csrf();
      place.dispatchEvent(new CustomEvent("live:applied", { detail: { id }, bubbles: true, cancelable: true }));
    }
}

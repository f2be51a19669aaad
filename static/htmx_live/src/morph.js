// @ts-check
// Morphs keep what the user typed, chose and opened, unless the answer to just that says otherwise.

import { CSRF_FIELD, FIELD, ROOT, emit, queryAll } from "./dom.js";
import { readRendered, readValue, takesRendered, writeValue } from "./fields.js";
import { csrfToken } from "./page.js";
import { covers } from "./text-streams.js";

const APPLIED = "live:applied";
const OPENABLE = "details,dialog";

/** @typedef {import("./requests.js").LiveRequest} LiveRequest */

export class Morph {
  #client;
  /** @type {LiveRequest | undefined} whose partials htmx swaps; {}: a push; undefined: the swap is not ours */
  #request;
  /** @type {Map<any, {value: string | boolean, rendered: string | boolean}>} before the morph that goes on */
  #fields = new Map();
  /** @type {WeakMap<any, boolean>} a <details> or <dialog> -> whether the server rendered it open */
  #renderedOpen = new WeakMap();

  /** @param {Pick<import("./client.js").Client, "directives" | "page" | "refresh" | "sync">} client */
  constructor(client) {
    this.#client = client;
  }

  /** @param {LiveRequest | undefined} request whose partials are swapped next */
  begin(request) {
    this.#request = request;
  }

  /** Called for each pair of nodes, from the root of the fragment inwards. Return false if the old one stays as it is.
   * @param {any} old @param {any} next */
  beforeNode(old, next) {
    if (!this.#request || !old.dataset || !next.dataset) return true;
    const isFragment = !next.parentElement;
    if (isFragment) this.#noteFields(old);
    if (isKept(old, next, isFragment)) return false;
    this.#client.directives.beforeMorph(old, next);
    const field = this.#fields.get(old);
    // Where the user typed, htmx is to see no difference: it then leaves the value, the caret and the composition.
    if (field && field.value !== field.rendered && typeof field.value === "string")
      old.defaultValue = next.defaultValue;
    if (old.matches(OPENABLE)) this.#morphOpenable(old, next);
    return true;
  }

  /** Return false if an attribute stays as it is. @param {any} element @param {string} name */
  beforeAttribute(element, name) {
    return !(this.#request && name === "open" && element.matches(OPENABLE));
  }

  /** Called once a fragment is in place. @param {any} target */
  afterSwap(target) {
    if (!this.#request) return this.#client.refresh();
    this.#restoreFields();
    if (this.#request.resetsForms) for (const input of queryAll("[type=file]", target)) input.value = "";
    for (const input of queryAll(`input[name=${CSRF_FIELD}]`, target)) input.value ||= csrfToken(this.#client.page);
    this.#requestMissingChildren(target);
    this.#client.refresh();
    emit(APPLIED, { id: target.id }, target);
  }

  /** Note what the server rendered in new elements. @param {any} target */
  noteOpenables(target) {
    for (const element of queryAll(OPENABLE, target))
      if (!this.#renderedOpen.has(element)) this.#renderedOpen.set(element, element.open);
  }

  /** @param {any} root */
  #noteFields(root) {
    for (const field of queryAll(FIELD, root))
      this.#fields.set(field, { value: readValue(field), rendered: readRendered(field) });
  }

  #restoreFields() {
    const { body, trigger, resetsForms } = /** @type {LiveRequest} */ (this.#request);
    /** @type {[any, string | boolean][]} */
    const typed = [];
    for (const [field, { value, rendered }] of this.#fields) {
      field.removeAttribute("autofocus"); // it had the focus when it was new; htmx would give it again
      const newlyRendered = readRendered(field);
      const hasValueAttribute = field.matches("input[value]");
      const sent = body?.getAll(field.name || (field === trigger ? "value" : "")) || [];
      const facts = { value, rendered, newlyRendered, hasValueAttribute };
      if (takesRendered(facts, sent, resetsForms)) writeValue(field, newlyRendered);
      else typed.push([field, value]);
    }
    // Last, or another radio button's new default would win.
    for (const [field, value] of typed) writeValue(field, value);
    this.#fields.clear();
  }

  /** Open or close an element if the server renders it differently from before; otherwise it stays as the user left it.
   * @param {any} old @param {any} next */
  #morphOpenable(old, next) {
    const hasChanged = this.#renderedOpen.get(old) === !next.open;
    this.#renderedOpen.set(old, next.open);
    if (!hasChanged) return;
    // A modal dialog must be closed as one, to leave the top layer.
    if (old.close && !next.open) old.close();
    else old.open = next.open;
  }

  /** An empty root is a child that the page should have. What brought it was missed, so its parent is asked for again.
   * @param {any} target */
  #requestMissingChildren(target) {
    for (const child of queryAll("[data-live='']", target)) {
      child.parentElement.closest(ROOT).dataset.liveRev = "0";
      this.#client.sync.request();
    }
  }
}

/** @param {any} old @param {any} next @param {boolean} isFragment whether it is the root of what is swapped */
export function isKept(old, next, isFragment) {
  const { live, liveKeep, liveStream, liveOffset } = old.dataset;
  const isChild = live && next.dataset.live != null && next.id === old.id;
  if (!isFragment && (liveKeep != null || isChild)) return true;
  if (old.name === CSRF_FIELD && next.name === CSRF_FIELD) return true;
  return !!liveStream && covers(liveOffset, next.dataset.liveOffset);
}

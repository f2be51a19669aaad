// @ts-check
// Loading directives: elements that are shown, hidden, disabled or given classes while something goes on.

import { queryAll, splitWords } from "./dom.js";

const DIRECTIVE = "[data-live-show],[data-live-hide],[data-live-disable],[data-live-class],[data-live-remove-class]";

/**
 * What was done to an element.
 * @typedef {object} DirectiveState
 * @property {boolean} isOn
 * @property {number} since when it was last turned on or off, ms
 * @property {number} dueAt when it is to be turned on or off, ms; 0: it stays
 * @property {string[]} removedClasses
 * @property {boolean | null} wasDisabled before it was disabled; null: it was not
 * @property {boolean} hadFocus a disabled element loses the focus
 * @property {any} [timer]
 */

/** @returns {DirectiveState} */
export const initialState = () => ({
  isOn: false,
  since: 0,
  dueAt: 0,
  removedClasses: [],
  wasDisabled: null,
  hadFocus: false,
});

/** Turn a directive on or off, as soon as its delay or its minimum time allows it.
 * @param {DirectiveState} state @param {boolean} wanted @param {number} now ms
 * @param {{delay: number, minimum: number}} times ms; before it is turned on, and how long it then stays on
 * @returns {number} ms until this is to be called again; 0: not before something changes */
export function advance(state, wanted, now, { delay, minimum }) {
  if (wanted === state.isOn) {
    state.dueAt = 0;
    return 0;
  }
  state.dueAt ||= wanted ? now + delay : state.since + minimum;
  if (state.dueAt > now) return state.dueAt - now;
  Object.assign(state, { isOn: wanted, dueAt: 0, since: now });
  return 0;
}

export class Directives {
  #client;
  /** @type {WeakMap<Element, DirectiveState>} */
  #states = new WeakMap();

  /** @param {Pick<import("./client.js").Client, "browser" | "refresh">} client */
  constructor(client) {
    this.#client = client;
  }

  /** @param {(element: any) => boolean} isWanted */
  update(isWanted) {
    for (const element of queryAll(DIRECTIVE)) this.#update(element, isWanted(element));
  }

  /** @param {any} element @param {boolean} wanted */
  #update(element, wanted) {
    const { browser } = this.#client;
    const { liveDelay, liveMin } = element.dataset;
    let state = this.#states.get(element);
    if (!state && !wanted) return;
    if (!state) this.#states.set(element, (state = initialState()));
    browser.clearTimeout(state.timer);
    const times = { delay: Number(liveDelay || 0), minimum: Number(liveMin || 0) };
    const wait = advance(state, wanted, browser.now(), times);
    if (wait) state.timer = browser.setTimeout(this.#client.refresh, wait);
    applyDirective(element, state);
  }

  /** A morph takes the server's classes and its `disabled`: what was noted of the old ones no longer holds.
   * @param {any} element @param {Element} next */
  beforeMorph(element, next) {
    const state = this.#states.get(element);
    if (!state) return;
    state.removedClasses = [];
    if (state.wasDisabled != null) state.wasDisabled = next.hasAttribute("disabled");
  }
}

/** Make an element look as its state says. A morph may have undone that, so this is done each time.
 * @param {any} element @param {DirectiveState} state */
export function applyDirective(element, state) {
  const { liveClass, liveRemoveClass, liveDisable } = element.dataset;
  const { classList } = element;
  const { isOn } = state;
  for (const name of ["live-on", ...splitWords(liveClass)]) classList.toggle(name, isOn);
  if (isOn) {
    const present = splitWords(liveRemoveClass).filter((name) => classList.contains(name));
    state.removedClasses.push(...present);
    classList.remove(...present);
  } else classList.add(...state.removedClasses.splice(0));
  if (liveDisable == null) return;
  state.wasDisabled ??= element.hasAttribute("disabled");
  state.hadFocus ||= element === document.activeElement;
  element.toggleAttribute("disabled", isOn || state.wasDisabled);
  if (isOn) return;
  if (state.hadFocus && document.activeElement === document.body) element.focus({ preventScroll: true });
  state.wasDisabled = null;
  state.hadFocus = false;
}

// @ts-check
// Fragments: partials that arrive in any order. Stale ones are dropped. A push waits, for two seconds at most, for the
// answer to an event on the same view. One whose target is not on the page yet is kept for half a minute.

import { queryAll } from "./dom.js";

const DEFERRED_FOR = 2000; // milliseconds
const KEPT_FOR = 30_000;

// A fragment that replaces what its target shows, with the target's id.
const REPLACEMENT = /<hx-partial hx-target="#([^"]+)" hx-swap="(?:outer|inner)[^]*?<\/hx-partial>/g;

/** Return the fragments in `text` that replace what their targets show, the last for each target.
 * @param {string} text @returns {Map<string, string>} target's id -> fragment */
export function replacementsIn(text) {
  return new Map([...text.matchAll(REPLACEMENT)].map(([fragment, id]) => [id, fragment]));
}

/** Return whether the page already has this render of a view, or a newer one.
 * @param {any} target @param {any} root */
export function isStale(target, root) {
  return target.id === root.id && Number(root.dataset.liveRev) <= Number(target.dataset.liveRev);
}

/** Decide what happens to a fragment that renders a whole view.
 * @param {any} target on the page @param {any} root of the fragment
 * @param {boolean} mustWait whether it is a push and an event on its view is in flight
 * @returns {"defer" | "drop" | "reattach" | "apply"} */
export function decide(target, root, mustWait) {
  if (root.id !== target.id) return "reattach";
  if (mustWait) return "defer";
  return isStale(target, root) ? "drop" : "apply";
}

/** @typedef {{task: any, root: any, until: number}} Deferred */

export class Fragments {
  #client;
  /** @type {Deferred[]} pushes that wait for the answer to an event, oldest first */
  #deferred = [];
  /** @type {Map<string, string>} id of a root -> id of the one from before a reload that took its place */
  #reattached = new Map();
  /** @type {Map<string, {fragment: string, until: number}>} by the id of a target that is not on the page yet */
  #early = new Map();

  /** @param {import("./client.js").Client} client */
  constructor(client) {
    this.#client = client;
  }

  /** @param {string} [id] @returns {any} the root with that id, or the one that took its place */
  rootOf(id = "") {
    return document.getElementById(this.#reattached.get(id) || id);
  }

  /** Take from the tasks that htmx has planned those that are stale or have to wait.
   * @param {any} htmxContext @param {any[]} tasks */
  filterStale(htmxContext, tasks) {
    const { browser } = this.#client;
    const request = htmxContext.live;
    this.#client.morph.begin(request);
    if (request) htmxContext.transition = false; // its swap would run after others have begun
    for (const task of [...tasks]) {
      const { target, fragment } = task;
      const root = fragment?.firstElementChild;
      if (root?.dataset?.live == null || !target?.dataset?.live) continue;
      const isPush = request && !request.handler;
      const decision = decide(target, root, isPush && !!this.#client.queue.first(root.id));
      if (decision === "reattach") this.#reattach(target, root);
      if (decision === "defer") {
        this.#deferred.push({ task, root, until: browser.now() + DEFERRED_FOR });
        browser.setTimeout(() => this.flushDeferred(), DEFERRED_FOR);
      }
      if (decision === "defer" || decision === "drop") tasks.splice(tasks.indexOf(task), 1);
    }
  }

  /** Swap the pushes whose wait is over. */
  flushDeferred() {
    this.#deferred = this.#deferred.filter(({ task, root, until }) => {
      const target = this.rootOf(task.target.id);
      if (target && this.#client.queue.first(target.id) && this.#client.browser.now() < until) return true;
      this.#client.morph.begin({});
      if (target && !isStale(target, root)) this.#client.htmx.insert({ ...task, target });
      return false;
    });
  }

  /** Swap partials of the stream or of a sync. Without htmx 4 they replace their targets.
   * @param {string} text @returns {Promise<void>} */
  apply(text) {
    const { browser, htmx } = this.#client;
    // An answer that is on its way may bring the target, rendered before this.
    for (const [id, fragment] of replacementsIn(text))
      if (!document.getElementById(id)) this.#early.set(id, { fragment, until: browser.now() + KEPT_FOR });
    if (htmx.isReady) return htmx.swap(text);
    return browser.load(this.#client.page.plain).then(({ swap }) => {
      swap(text);
      this.#client.refresh();
    });
  }

  /** Apply the fragments that came before their targets. */
  applyEarly() {
    for (const [id, { fragment, until }] of this.#early) {
      const isHere = document.getElementById(id);
      const isExpired = until < this.#client.browser.now();
      if (isHere || isExpired) this.#early.delete(id);
      if (isHere && !isExpired) this.apply(fragment);
    }
  }

  /** Give a root the id of the one from before a reload. The morph then keeps what was typed since the load; what is
   * marked as kept must go, because it would keep the arguments of the new root.
   * @param {any} target @param {any} root */
  #reattach(target, root) {
    this.#reattached.set(target.id, root.id);
    target.id = root.id;
    for (const element of queryAll("[data-live-keep]", target)) delete element.dataset.liveKeep;
  }
}

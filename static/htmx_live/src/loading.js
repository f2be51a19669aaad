// @ts-check
// Loading state: a function of the requests in flight, of the running jobs in data-live-pending and of
// htmxLive.loading.start(), and of nothing else.

import { TRIGGER, queryAll, rootIdOf, splitWords } from "./dom.js";

const PENDING = "[data-live-pending]";
const ANYWHERE = "*";

/**
 * Something that goes on. A request has a trigger; a job and htmxLive.loading.start() have none.
 * @typedef {object} Activity
 * @property {string} [root] the id of the live view; "*": every view
 * @property {string} [handler]
 * @property {string} [name] of the job
 * @property {string} [key] the job key
 * @property {string} [args]
 * @property {any} [trigger]
 */

/** Read data-live-pending: one word for each job, "handler:name" or "handler:name:key".
 * @param {string} root @param {string} pending @returns {Activity[]} */
export function pendingJobs(root, pending) {
  return splitWords(pending).map((word) => {
    const [handler, name, key] = word.split(":").map(decodeURIComponent);
    return { root, handler, name, key };
  });
}

/** @param {Activity} activity @param {string} name of a handler or a job
 * @param {string} [root] @param {string} [key] */
export function matches(activity, name, root, key) {
  const isHere = root === ANYWHERE || activity.root === ANYWHERE || activity.root === root;
  const isNamed = activity.handler === name || activity.name === name;
  return isHere && isNamed && (key == null || activity.key === key);
}

/** Return whether a trigger's own event goes on. A request belongs to its element, or to an equal one if that was
 * swapped away; a job belongs to its handler. @param {any} trigger @param {Activity[]} activities */
export function isBusy(trigger, activities) {
  const { liveEvent, liveKey, liveArgs } = trigger.dataset;
  const root = rootIdOf(trigger);
  return activities.some((activity) => {
    if (activity.trigger?.isConnected) return activity.trigger === trigger;
    const isEqual = !activity.trigger || activity.args === liveArgs;
    return isEqual && matches(activity, liveEvent, root, liveKey);
  });
}

/** Return whether a loading directive applies: to the names that it lists, else to the trigger that it is in, else to
 * every trigger of its group. @param {any} element @param {Activity[]} activities @param {string} groups CSS classes */
export function isWanted(element, activities, groups) {
  const { liveFor, liveKey } = element.dataset;
  if (liveFor != null)
    return splitWords(liveFor).some((word) => {
      const root = word[0] === ANYWHERE ? ANYWHERE : rootIdOf(element);
      const name = word.replace("*:", "");
      return activities.some((activity) => matches(activity, name, root, liveKey));
    });
  const trigger = element.closest(TRIGGER);
  if (trigger) return isBusy(trigger, activities);
  const selector = splitWords(groups)
    .map((name) => "." + CSS.escape(name))
    .join();
  const group = selector && element.closest(selector);
  return !!group && queryAll(TRIGGER, group).some((one) => isBusy(one, activities));
}

export class Loading {
  #client;
  /** @type {Set<string>} names given to htmxLive.loading.start() */
  #started = new Set();

  /** @param {import("./client.js").Client} client */
  constructor(client) {
    this.#client = client;
  }

  /** @returns {Activity[]} */
  #activities() {
    const started = [...this.#started].map((handler) => ({ root: ANYWHERE, handler }));
    const jobs = queryAll(PENDING).flatMap((root) => pendingJobs(root.id, root.dataset.livePending));
    return [...this.#client.queue, ...started, ...jobs];
  }

  /** @param {string} name */
  start(name) {
    this.#started.add(name);
    this.#client.refresh();
  }

  /** @param {string} name */
  stop(name) {
    this.#started.delete(name);
    this.#client.refresh();
  }

  /** Return whether a handler or a job of that name runs in any view. @param {string} name */
  isPending(name) {
    return this.#activities().some((activity) => matches(activity, name, ANYWHERE));
  }

  /** Forget all jobs: the server refuses this page, so their ends will not reach it. */
  forgetJobs() {
    for (const root of queryAll(PENDING)) root.dataset.livePending = "";
  }

  /** Show what goes on now. */
  update() {
    const activities = this.#activities();
    document.body.classList.toggle("live-loading", activities.length > 0);
    for (const trigger of queryAll(TRIGGER)) {
      const busy = isBusy(trigger, activities);
      trigger.classList.toggle("live-busy", busy);
      if (busy || trigger.ariaBusy) trigger.ariaBusy = busy || null;
    }
    this.#client.directives.update((element) => isWanted(element, activities, this.#client.page.groups));
  }
}

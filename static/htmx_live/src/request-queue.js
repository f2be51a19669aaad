// @ts-check
// The events in flight, one at a time per view and in the order of the clicks.
//
// htmx's own queue drops the third click and loses what waits for a trigger that is swapped away. So each event is
// alone in its queue there, and its fetch waits here until the earlier requests of the same root have settled.

/** @typedef {import("./requests.js").LiveRequest} LiveRequest */

export class RequestQueue {
  /** @type {Set<LiveRequest>} oldest first */
  #requests = new Set();

  [Symbol.iterator]() {
    return this.#requests.values();
  }

  /** @param {LiveRequest} request */
  add(request) {
    this.#requests.add(request);
  }

  /** Return the oldest request of a live view. @param {string | undefined} root */
  first(root) {
    return [...this.#requests].find((request) => request.root === root);
  }

  /** Wait until every earlier request of the same root has settled, or until `signal` aborts.
   * A waiting keystroke, or tick, is superseded by a newer one in the same control.
   * @param {LiveRequest} request @param {AbortSignal} signal */
  async turn(request, signal) {
    for (const other of this.#requests)
      if (request.isTyping && other.isTyping && other.trigger === request.trigger && other.proceed) {
        other.isSuperseded = true;
        other.proceed();
      }
    if (this.first(request.root) !== request)
      await new Promise((resolve) => {
        request.proceed = () => resolve(undefined);
        signal.addEventListener("abort", request.proceed);
      });
    request.proceed = undefined;
  }

  /** Let the next request of the same root go. @param {LiveRequest} request */
  settle(request) {
    this.#requests.delete(request);
    this.first(request.root)?.proceed?.();
  }

  /** Note that the page aborted the requests of `trigger`, so their end is no failure. @param {unknown} trigger */
  markAborted(trigger) {
    for (const request of this.#requests) if (request.trigger === trigger) request.isAborted = true;
  }
}

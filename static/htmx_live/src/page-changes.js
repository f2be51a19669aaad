// @ts-check
// What joins and leaves the page: htmx 4, htmx 2 or a script of the page may bring regions and cards of progress, and
// may take live views away.

import { Timer } from "./browser.js";
import { PROGRESS_CARD, ROOT, SUBSCRIPTION, queryAll } from "./dom.js";

// The server ends views that a sync no longer names, once they were mounted more than 30 seconds ago.
const REPORT_REMOVED_AFTER = 31_000; // milliseconds

const subscriptions = () => queryAll(SUBSCRIPTION).map((element) => element.dataset.liveSubscription);

export class PageChanges {
  #client;
  #removedTimer;
  /** @type {Set<string>} that the server knows of */
  #subscriptions = new Set();
  /** @type {string[]} ids of the live views on the page */
  #roots = [];

  /** @param {import("./client.js").Client} client */
  constructor(client) {
    this.#client = client;
    this.#removedTimer = new Timer(client.browser);
  }

  /** Follow what is added to the page; the server knows of what it has rendered so far. */
  start() {
    this.#subscriptions = new Set(subscriptions());
    new MutationObserver((records) => this.#added(records)).observe(document, { childList: true, subtree: true });
  }

  /** @param {MutationRecord[]} records */
  #added(records) {
    const selector = `${SUBSCRIPTION},${PROGRESS_CARD}`;
    this.#client.fragments.applyEarly();
    const isOurs = (/** @type {any} */ node) => node.matches?.(selector) || node.querySelector?.(selector);
    if (!records.some(({ addedNodes }) => [...addedNodes].some(isOurs))) return;
    const unknown = subscriptions().filter((word) => !this.#subscriptions.has(word));
    for (const word of unknown) this.#subscriptions.add(word);
    // A request of htmx names the page, so its answer has subscribed it already.
    if (unknown[0] && !("htmx" in window)) this.#client.sync.request();
    this.#client.refresh();
  }

  update() {
    this.#reportRemovedRoots();
    this.#finishCards();
  }

  #reportRemovedRoots() {
    const roots = queryAll(ROOT).map(({ id }) => id);
    if (!this.#roots.every((id) => roots.includes(id)))
      this.#removedTimer.start(REPORT_REMOVED_AFTER, () => this.#client.sync.request());
    this.#roots = roots;
  }

  /** Cards may ask for an event or a redirect at their end. */
  #finishCards() {
    const { browser, page } = this.#client;
    // A swap may change them before the module is loaded.
    const cards = queryAll(PROGRESS_CARD).map((element) => [element, { ...element.dataset }]);
    if (cards[0])
      browser.load(page.progress).then(
        ({ finish }) => cards.forEach(finish),
        () => {},
      );
  }
}

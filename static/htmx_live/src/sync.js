// @ts-check
// Sync: asks the server what the page has missed. One request at a time, and one more if it is asked for meanwhile.

import { Timer } from "./browser.js";
import { ROOT, SUBSCRIPTION, TEXT_STREAM, queryAll } from "./dom.js";
import { csrfToken, savedGrants } from "./page.js";
import { retryDelay } from "./responses.js";

const TIME_LIMIT = 15_000; // milliseconds

/** Split an answer into partials and messages, which follow them in a script element.
 * @param {string} text @returns {{partials: string, messages: {event: string, data: string}[]}} */
export function splitAnswer(text) {
  const [partials, messages = "[]"] = text.split(/<script [^>]*data-live-messages>/);
  return { partials, messages: JSON.parse(messages.replace("</script>", "")) };
}

/** Describe what the page shows. */
function shown() {
  return {
    subscriptions: queryAll(SUBSCRIPTION).map((element) => element.dataset.liveSubscription),
    roots: queryAll(ROOT).map(({ dataset: { live, liveRev, liveState } }) => ({
      live,
      rev: Number(liveRev),
      state: liveState,
    })),
    streams: Object.fromEntries(queryAll(TEXT_STREAM).map((element) => [element.id, element.dataset.liveOffset])),
  };
}

export class Sync {
  /** Whether the last request was answered. */
  isAnswered = true;
  /** @type {Promise<boolean | undefined> | null} false: it failed without an answer */
  running = null;
  #client;
  #retryTimer;
  #isAskedAgain = false;
  #wantsEverything = false;
  /** @type {string[]} grants that this page had before its reload */
  #grants = [];

  /** @param {import("./client.js").Client} client */
  constructor(client) {
    this.#client = client;
    this.#retryTimer = new Timer(client.browser);
  }

  /** Ask what the page has missed. @returns {Promise<boolean | undefined>} true: the server answered */
  request() {
    this.#isAskedAgain = !!this.running;
    return (this.running ||= this.#run());
  }

  /** Ask for all there is: the server cannot say what was missed. */
  requestEverything() {
    this.#wantsEverything = true;
    return this.request();
  }

  /** Ask for the views that this page had before a reload. */
  async reattach() {
    this.#grants = savedGrants();
    if (this.#grants[0]) await this.request();
  }

  /** Wait while it is not known which views a reloaded page shows. */
  async reattached() {
    if (this.#grants[0]) await this.running;
  }

  async #run() {
    const everything = this.#wantsEverything;
    this.#wantsEverything = false; // a reset that arrives meanwhile wants another request for everything
    const isAnswered = await this.#ask(everything).catch(() => false);
    if (isAnswered) this.#client.reachability.confirm();
    else {
      this.#wantsEverything ||= everything;
      this.#failed();
    }
    this.running = null;
    if (this.#isAskedAgain) this.request();
    return isAnswered;
  }

  #failed() {
    const { reachability } = this.#client;
    reachability.ignoreHello();
    if (!this.#client.connection.isConnected) {
      reachability.hasAnswered = false;
      reachability.miss();
    } else if (!this.isAnswered) {
      // The stream does not bring what was missed before it opened.
      const interval = Number(this.#client.page.poll) * 1000;
      this.#retryTimer.start(interval * (1 + this.#client.browser.random()), () => this.request());
    }
  }

  /** @param {boolean} everything @returns {Promise<boolean | undefined>} */
  async #ask(everything) {
    const { browser, connection, page, polling } = this.#client;
    if (connection.isStopped || !page.page) return undefined;
    this.isAnswered = false;
    const response = await browser.fetch(page.url + "sync/", {
      method: "POST",
      signal: browser.abortAfter(TIME_LIMIT),
      headers: { "Content-Type": "application/json", "X-Live-Page": page.page, "X-CSRFToken": csrfToken(page) },
      body: JSON.stringify(this.#question(everything)),
    });
    const { status, headers } = response;
    const text = await response.text();
    const number = headers.get("X-Live-Number");
    if ([401, 403, 404, 410].includes(status)) {
      connection.refuse(headers.get("X-Live-Refused") || status, retryDelay(response));
      return undefined;
    }
    if (!response.ok || response.redirected) return undefined;
    const answer = splitAnswer(text);
    this.isAnswered = true;
    this.#grants = [];
    polling.idlePolls = status === 204 ? polling.idlePolls + 1 : 0;
    if (answer.partials) await this.#client.fragments.apply(answer.partials);
    if (!connection.isConnected && number) page.number = number;
    for (const { event, data } of answer.messages) this.#client.messages.receive(event, data);
    if (headers.get("X-Live-Remounted"))
      this.#client.toasts.showRemounted({ hasLostState: !!headers.get("X-Live-Lost") });
    return true;
  }

  /** @param {boolean} everything */
  #question(everything) {
    return {
      ...shown(),
      adopt: this.#grants,
      hidden: this.#client.browser.isHidden(),
      poll: everything || !this.#client.connection.isConnected,
      number: everything ? "" : this.#client.page.number,
    };
  }
}

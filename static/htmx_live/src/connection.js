// @ts-check
// The connection: one stream of server-sent events, opened, read, watched, and opened again after it ends.

import { Timer } from "./browser.js";
import { emit } from "./dom.js";
import { EventStreamParser } from "./event-stream.js";
import { UNSHARED } from "./toasts.js";

const CONNECTED = "live:connected";
const SECOND = 1000;
const REFUSED_FOR = 30 * SECOND; // by a process that does not have the page

/** Return the milliseconds before an attempt: 0.25 s doubled up to 2 s, after eight attempts up to 30 s, spread so that
 * the pages of a server that restarts do not come at once.
 * @param {number} attempt counted from 0 @param {number} random at least 0, less than 1 */
export function reconnectDelay(attempt, random) {
  const longest = (attempt < 8 ? 2 : 30) * SECOND;
  return Math.min(longest, 250 * 2 ** attempt) * (0.5 + random / 2);
}

/** Return whether a stream was silent for more than 2.5 heartbeats: it is dead, whatever its socket says.
 * @param {number} now @param {number} lastByteAt @param {number} heartbeat seconds */
export const isSilent = (now, lastByteAt, heartbeat) => now - lastByteAt > 2.5 * SECOND * heartbeat;

export class Connection {
  /** Whether the stream said hello. */
  isConnected = false;
  /** Whether the server offers no streams, so that the page polls. */
  isWithoutStreams = false;
  /** Whether the server refuses this page. */
  isStopped = false;
  #client;
  #reopenTimer;
  #resumeTimer;
  /** @type {AbortController | null} */
  #stream = null;
  #lastByteAt = 0; // milliseconds
  #attempts = 0; // since the last hello

  /** @param {import("./client.js").Client} client */
  constructor(client) {
    this.#client = client;
    this.#reopenTimer = new Timer(client.browser);
    this.#resumeTimer = new Timer(client.browser);
  }

  /** Open the stream, read it, and settle what follows its end. */
  async open() {
    this.#reopenTimer.stop();
    if (this.#stream || this.isWithoutStreams || this.isStopped || !this.#client.page.page) return;
    const stream = (this.#stream = new AbortController());
    this.#lastByteAt = this.#client.browser.now();
    let end;
    try {
      end = await this.#read(stream.signal);
    } catch {} // refused, cut, or given up by the watchdog
    if (this.#stream !== stream) return; // closed on purpose
    this.close();
    this.#ended(end);
  }

  /** @param {AbortSignal} signal
   * @returns {Promise<number | "bye" | undefined>} the status of a refusal; "bye": an orderly end */
  async #read(signal) {
    const { browser, page } = this.#client;
    const headers = {
      Accept: "text/event-stream",
      "X-Live-Page": page.page,
      "Last-Event-ID": page.number || "",
    };
    const response = await browser.fetch(page.url + "stream/", { signal, cache: "no-store", headers });
    const isStream = response.status === 200 && response.headers.get("Content-Type")?.includes("event-stream");
    if (!isStream) return response.status;
    const reader = /** @type {any} */ (response.body).getReader();
    const decoder = new TextDecoder();
    const parser = new EventStreamParser();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return undefined;
      this.#lastByteAt = browser.now();
      for (const { event, data, id } of parser.read(decoder.decode(value, { stream: true }))) {
        if (id != null) page.number = id;
        if (event === "bye") return event;
        if (data != null) this.#client.messages.receive(event, data);
      }
    }
  }

  /** @param {number | "bye" | undefined} end */
  #ended(end) {
    const { browser } = this.#client;
    if (end === 403) return this.refuse(403);
    if (end === 410) return this.refuse(410, REFUSED_FOR);
    if (end === "bye") return this.#reopenIn(browser.random() * SECOND);
    if (end === 401 || end === 404) this.#client.sync.request(); // its answer says which refusal this is
    if (end === 204) this.isWithoutStreams = true;
    else {
      this.#reopenIn(reconnectDelay(this.#attempts++, browser.random()));
      this.#client.reachability.miss();
    }
    this.#client.polling.schedule();
  }

  #reopenIn(/** @type {number} */ ms) {
    this.#reopenTimer.start(ms, () => this.open());
  }

  /** The stream said hello. @param {number} [heartbeat] seconds */
  welcome(heartbeat) {
    const { polling } = this.#client;
    this.isConnected = true;
    this.#attempts = 0;
    polling.idlePolls = 0;
    polling.stop();
    if (heartbeat) this.#client.page.heartbeat = String(heartbeat);
    this.#client.reachability.confirmAfterHello();
    emit(CONNECTED);
  }

  /** The server answers again: do not wait for the next attempt. */
  reopenSoon() {
    if (this.isConnected || this.isWithoutStreams || this.isStopped || this.#client.browser.isHidden()) return;
    this.#attempts = 0;
    this.#reopenIn(this.#client.browser.random() * SECOND);
  }

  /** Open a new stream at once, where the present one says nothing yet. */
  reconnect() {
    if (this.isConnected || this.#client.browser.isHidden()) return;
    this.close();
    this.open();
  }

  /** Close the stream; nothing follows. */
  close() {
    const stream = this.#stream;
    this.#stream = null;
    if (this.isConnected) this.#client.reachability.hasAnswered = false;
    this.isConnected = false;
    stream?.abort();
  }

  /** Close the stream until open() is called. */
  suspend() {
    this.#reopenTimer.stop();
    this.close();
  }

  /** End the stream as a network failure does: it is opened again. */
  abort() {
    this.#stream?.abort();
  }

  /** The watchdog, called every second. */
  watch() {
    if (isSilent(this.#client.browser.now(), this.#lastByteAt, Number(this.#client.page.heartbeat))) this.abort();
  }

  /** The server refuses this page: neither stream nor poll, for good or for some time.
   * @param {number | string} status @param {number} [pause] milliseconds; 0: for good */
  refuse(status, pause = 0) {
    this.close();
    this.isStopped = true;
    this.isWithoutStreams = false;
    this.#client.loading.forgetJobs();
    this.#client.reachability.setOffline(false);
    this.#client.refresh();
    this.#client.toasts.showError(pause ? UNSHARED : status);
    if (pause)
      this.#resumeTimer.start(pause, () => {
        this.isStopped = false;
        this.open();
      });
  }
}

// @ts-check
// Reachability: whether the server answers, and the banner that says when it does not.

import { Timer } from "./browser.js";
import { cloneTemplate, emit, queryAll } from "./dom.js";
import { UNSHARED } from "./toasts.js";

const DISCONNECTED = "live:disconnected";
const HELLO_PAUSE = 50; // milliseconds

export class Reachability {
  /** Whether an answer of any kind has come since the stream was last open. */
  hasAnswered = false;
  /** Whether the user knows that the server does not answer. */
  isOffline = false;
  #client;
  #helloTimer;

  /** @param {import("./client.js").Client} client */
  constructor(client) {
    this.#client = client;
    this.#helloTimer = new Timer(client.browser);
  }

  /** An event, a sync or the stream was answered. */
  confirm() {
    const { connection } = this.#client;
    if (!this.hasAnswered) connection.reopenSoon();
    this.hasAnswered = true;
    this.setOffline(false);
    if (!connection.isStopped) this.#client.toasts.dismissError(UNSHARED);
    this.#client.requests.repeatUnanswered();
  }

  /** The stream is open. A reset that comes right after hello is made good first. */
  confirmAfterHello() {
    this.#helloTimer.start(HELLO_PAUSE, async () => {
      const { connection, sync } = this.#client;
      if ((await sync.running) !== false && connection.isConnected) this.confirm();
    });
  }

  /** A sync failed: the hello before it confirms nothing. */
  ignoreHello() {
    this.#helloTimer.stop();
  }

  /** A stream, or a sync without a stream, got no answer. */
  miss() {
    const { browser, connection } = this.#client;
    if (!this.hasAnswered && !browser.isHidden() && !connection.isStopped) this.setOffline(true);
  }

  /** @param {boolean} isOffline */
  setOffline(isOffline) {
    if (isOffline === this.isOffline) return;
    this.isOffline = isOffline;
    // The banner stays in the page: its style says "Connected again" for a moment.
    if (isOffline && !queryAll(".live-banner")[0]) document.body.append(cloneTemplate("banner") || "");
    if (isOffline) emit(DISCONNECTED);
    this.#client.refresh();
  }

  update() {
    const { classList } = document.body;
    classList.toggle("live-offline", this.isOffline);
    classList.toggle("live-network-down", !this.#client.browser.isOnline());
  }
}

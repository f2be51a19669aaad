// @ts-check
// Polling: while there is no stream, the page asks for what it has missed.

import { Timer } from "./browser.js";
import { queryAll } from "./dom.js";

const RUNNING = "[data-live-pending]:not([data-live-pending='']),[data-live-progress][data-status=running]";
const WHILE_RUNNING = 500; // milliseconds

/** Return the milliseconds until the next poll: soon while a job runs, ever later, up to four times the interval, while
 * nothing is new. @param {{interval: number, idlePolls: number, isJobRunning: boolean}} facts interval in ms */
export function pollDelay({ interval, idlePolls, isJobRunning }) {
  const delay = interval * Math.min(4, 1 + idlePolls / 4);
  return isJobRunning ? Math.min(WHILE_RUNNING, delay) : delay;
}

export class Polling {
  /** Polls without news. */
  idlePolls = 0;
  #client;
  #timer;
  #isJobRunning = false;

  /** @param {Pick<import("./client.js").Client, "browser" | "connection" | "page" | "sync">} client */
  constructor(client) {
    this.#client = client;
    this.#timer = new Timer(client.browser);
  }

  /** Poll later, and go on until the stream is open. */
  schedule() {
    const { connection, sync } = this.#client;
    // A stream will soon bring what a job does, and a server that does not answer is not asked more often.
    const isJobRunning = this.#isJobRunning && connection.isWithoutStreams && sync.isAnswered;
    const interval = Number(this.#client.page.poll) * 1000;
    const { idlePolls } = this;
    this.#timer.start(pollDelay({ interval, idlePolls, isJobRunning }), async () => {
      if (!this.#client.browser.isHidden()) await sync.request();
      if (!connection.isConnected && !connection.isStopped) this.schedule();
    });
  }

  stop() {
    this.#timer.stop();
  }

  /** Adapt the pace when a job has begun or ended. */
  update() {
    const isJobRunning = !!queryAll(RUNNING)[0];
    const hasChanged = isJobRunning !== this.#isJobRunning;
    this.#isJobRunning = isJobRunning;
    if (hasChanged && this.#client.connection.isWithoutStreams) this.schedule();
  }
}

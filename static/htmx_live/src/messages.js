// @ts-check
// Messages of the server, which the stream brings, and a sync where there is no stream.

import { emit, isWebUrl } from "./dom.js";

const RESET = "live:reset";

/** @typedef {import("./client.js").Client} Client */

/** What each event does; data are JSON unless said otherwise. An event of a newer server is ignored.
 * @type {Record<string, (client: Client, data: string) => void>} */
const HANDLERS = {
  /** Partials. */
  "": ({ fragments }, data) => fragments.apply(data),
  append: ({ textStreams }, data) => textStreams.append(JSON.parse(data)),
  hello: ({ connection }, data) => connection.welcome(JSON.parse(data).heartbeat),
  notice: ({ toasts }, data) => toasts.showNotice(JSON.parse(data)),
  redirect({ browser }, data) {
    const { url } = JSON.parse(data);
    if (isWebUrl(url)) browser.navigate(url);
  },
  /** The server cannot say what the page missed. */
  reset({ sync }) {
    emit(RESET);
    sync.requestEverything();
  },
  /** The record of a view is gone: the answer to a sync mounts it again. */
  sync: ({ sync }) => sync.request(),
};

export class Messages {
  #client;

  /** @param {Client} client */
  constructor(client) {
    this.#client = client;
  }

  /** @param {string} event @param {string} data */
  receive(event, data) {
    HANDLERS[event]?.(this.#client, data);
  }
}

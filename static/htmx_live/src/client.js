// @ts-check
// The parts of the script. Each owns its state, and reaches the others through the client.

import { browser } from "./browser.js";
import { Connection } from "./connection.js";
import { Directives } from "./directives.js";
import { Fragments } from "./fragments.js";
import { Htmx } from "./htmx.js";
import { Loading } from "./loading.js";
import { Messages } from "./messages.js";
import { Morph } from "./morph.js";
import { PageChanges } from "./page-changes.js";
import { Polling } from "./polling.js";
import { Reachability } from "./reachability.js";
import { RequestQueue } from "./request-queue.js";
import { Requests } from "./requests.js";
import { Responses } from "./responses.js";
import { Sync } from "./sync.js";
import { TextStreams } from "./text-streams.js";
import { Toasts } from "./toasts.js";

export class Client {
  browser = browser;
  queue = new RequestQueue();

  /** @param {HTMLElement} meta what {% htmx_live %} put into the head */
  constructor(meta) {
    this.page = /** @type {import("./page.js").Page} */ (/** @type {unknown} */ (meta.dataset));
    this.htmx = new Htmx(meta);
    this.connection = new Connection(this);
    this.directives = new Directives(this);
    this.fragments = new Fragments(this);
    this.loading = new Loading(this);
    this.messages = new Messages(this);
    this.morph = new Morph(this);
    this.pageChanges = new PageChanges(this);
    this.polling = new Polling(this);
    this.reachability = new Reachability(this);
    this.requests = new Requests(this);
    this.responses = new Responses(this);
    this.sync = new Sync(this);
    this.textStreams = new TextStreams(this);
    this.toasts = new Toasts(this);
  }

  /** Bring up to date what depends on the requests in flight, on the connection and on what is on the page. */
  refresh = () => {
    this.loading.update();
    this.reachability.update();
    this.polling.update();
    this.pageChanges.update();
  };
}

// @ts-check
// htmx-live: what htmx 4 and attributes cannot do for a live view. docs/wire.md is the contract with the server,
// docs/client.md describes events and API. htmx makes requests and swaps; this script adds loading state, an order of
// events per view, a stream that catches up, and morphs that keep what the user typed.
//
// This module starts the parts and follows the life of the page.

import { Timer } from "./browser.js";
import { Client } from "./client.js";
import { createExtension, listenToHtmx2 } from "./htmx-extension.js";
import { csrfToken, saveGrants } from "./page.js";

const SECOND = 1000;

/** @param {Client} client */
function offerApi({ loading, page }) {
  Object.assign(window, {
    htmxLive: {
      csrf: () => csrfToken(page),
      loading: {
        start: (/** @type {string} */ name) => loading.start(name),
        stop: (/** @type {string} */ name) => loading.stop(name),
        pending: { has: (/** @type {string} */ name) => loading.isPending(name) },
      },
    },
  });
}

/** Save resources while the page is hidden, and be up to date when it is seen again. @param {Client} client */
function followVisibility({ browser, connection, page, refresh, sync }) {
  const hiddenTimer = new Timer(browser);
  document.addEventListener("visibilitychange", () => {
    hiddenTimer.stop();
    if (!browser.isHidden()) return connection.open();
    saveGrants(); // a phone may end a hidden page without a word
    hiddenTimer.start(Number(page.hiddenClose) * SECOND, () => {
      sync.request();
      connection.suspend();
    });
  });
  addEventListener("pagehide", () => {
    saveGrants();
    connection.close();
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) connection.open();
  });
  addEventListener("online", () => {
    refresh();
    connection.reconnect();
  });
  addEventListener("offline", () => {
    refresh();
    connection.abort();
  });
}

/** @param {HTMLElement} meta */
function install(meta) {
  const client = new Client(meta);
  const extension = createExtension(client);
  const { connection, htmx, morph, pageChanges, queue, refresh, sync, toasts } = client;
  offerApi(client);
  followVisibility(client);
  listenToHtmx2(client);
  document.addEventListener("htmx:abort", ({ target }) => queue.markAborted(target));
  document.addEventListener("click", ({ target }) => toasts.click(target));
  setInterval(() => {
    connection.watch();
    toasts.age();
  }, SECOND);

  async function start() {
    htmx.register(extension);
    document.documentElement.classList.add("live-ready");
    morph.noteOpenables(document.body);
    refresh();
    pageChanges.start();
    await sync.reattach(); // an open stream would bring renders of roots that are not on the page yet
    connection.open();
  }

  htmx.register(extension);
  addEventListener("load", () => htmx.register(extension)); // htmx may come after this script
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
}

const meta = /** @type {HTMLElement | null} */ (document.querySelector("meta[name=htmx-live]"));
if (meta && !("htmxLive" in window)) install(meta);

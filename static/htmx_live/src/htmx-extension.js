// @ts-check
// The extension of htmx 4: its hooks, each handed to the part that it concerns. And what htmx 2 needs in their place.

import { TRIGGER } from "./dom.js";
import { identifyPage } from "./page.js";

/** @typedef {import("./client.js").Client} Client */

/** @param {Client} client */
export function createExtension(client) {
  const { fragments, htmx, morph, page, queue, refresh, requests, responses } = client;
  return {
    /** @param {any} internals */
    init(internals) {
      htmx.connect(internals);
    },

    /** @param {any} element @param {any} event */
    htmx_config_request(element, { ctx }) {
      const { request } = ctx;
      identifyPage(page, request.headers, request.action, request.body);
      if (!ctx.live && !element.matches(TRIGGER)) return;
      ctx.live ||= requests.create(element, ctx.sourceEvent, request.body);
      ctx.target = document.documentElement; // 4.0.1 drops an answer whose target is gone
      // The order is the queue's: htmx's own would drop the third click. A trigger's own hx-sync comes first.
      if (!htmx.hasAttribute(element, "hx-sync")) delete element._htmx_state?.rq;
      ctx.fetch = (/** @type {string} */ url, /** @type {any} */ init) => requests.send(ctx.live, url, init, ctx);
    },

    /** @param {any} element @param {any} event */
    htmx_before_request(element, { ctx }) {
      if (!ctx.live) return;
      queue.add(ctx.live);
      refresh();
    },

    /** @param {any} element @param {any} event */
    htmx_after_request(element, { ctx }) {
      responses.read(ctx);
    },

    /** @param {any} element @param {any} event */
    htmx_finally_request(element, { ctx }) {
      if (ctx.live) requests.settle(ctx.live);
    },

    /** @param {any} element @param {any} event */
    htmx_before_swap(element, { ctx, tasks }) {
      fragments.filterStale(ctx, tasks);
    },

    /** @param {any} old @param {any} event */
    htmx_before_morph_node(old, { newNode }) {
      return morph.beforeNode(old, newNode);
    },

    /** @param {any} element @param {any} event */
    htmx_before_morph_attr(element, { attrName }) {
      return morph.beforeAttribute(element, attrName);
    },

    /** @param {any} target */
    htmx_before_settle(target) {
      morph.afterSwap(target);
    },

    /** @param {any} target */
    htmx_after_process(target) {
      morph.noteOpenables(target);
      refresh();
    },
  };
}

/** Cards, regions and toasts work with htmx 2, too; these are its names of the events. @param {Client} client */
export function listenToHtmx2({ htmx, page, responses }) {
  document.addEventListener("htmx:configRequest", (/** @type {any} */ { detail }) => {
    if (!htmx.isReady) identifyPage(page, detail.headers, detail.path, detail.formData);
  });
  document.addEventListener("htmx:afterRequest", (/** @type {any} */ { detail }) => {
    if (!htmx.isReady) responses.readHeaders((name) => detail.xhr.getResponseHeader("X-Live-" + name));
  });
}

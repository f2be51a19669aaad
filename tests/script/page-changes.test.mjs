import assert from "node:assert/strict";
import test from "node:test";

import { PageChanges } from "../../static/htmx_live/src/page-changes.js";
import { settled, testClient } from "./client.mjs";
import { element, show } from "./dom.mjs";

const root = (id) => element("div", { id, "data-live": "g" });
const region = (word) => element("div", { "data-live-subscription": word });

function scene(...children) {
  let added;
  globalThis.MutationObserver = class {
    constructor(run) {
      added = (...nodes) => run([{ addedNodes: nodes }]);
    }
    observe(target, options) {
      assert.deepEqual([target, options], [document, { childList: true, subtree: true }]);
    }
  };
  show(...children);
  const client = testClient();
  const changes = new PageChanges(client);
  changes.start();
  /** Put elements into the page. */
  const add = (...nodes) => {
    document.body.append(...nodes);
    added(...nodes);
  };
  return { client, changes, add, added, browser: client.browser };
}

test("a region that a script adds is subscribed by a sync, once", () => {
  const { client, add } = scene(region("known"));
  add(element("p", {}, region("new")));
  assert.deepEqual(client.calls, [["fragments.applyEarly"], ["sync.request"], ["refresh"]]);
  client.calls.length = 0;
  add(region("new"), region("known"));
  assert.deepEqual(client.calls, [["fragments.applyEarly"], ["refresh"]]);
});

test("a region that the server has rendered is subscribed already", () => {
  const { client, add } = scene(region("known"));
  add(region("known"));
  assert.deepEqual(client.called("sync"), []);
});

test("one that htmx adds is subscribed by the request that brought it", (t) => {
  const { client, add } = scene();
  globalThis.htmx = {};
  t.after(() => delete globalThis.htmx);
  add(region("new"));
  assert.deepEqual(client.called("sync"), []);
});

test("a card of progress brings the page up to date, other elements and texts do not", () => {
  const { client, add, added } = scene();
  add(element("p"));
  added({}); // a text
  assert.deepEqual(client.called("refresh"), []);
  add(element("div", { "data-live-progress": "s" }));
  assert.deepEqual(client.called("refresh"), [["refresh"]]);
});

test("roots that have gone are told to the server after 31 seconds", async () => {
  const { client, changes, browser } = scene(root("live-a"), root("live-b"));
  changes.update();
  assert.deepEqual(browser.waits, []);
  document.getElementById("live-a").remove();
  changes.update();
  changes.update();
  await browser.advance(30_999);
  assert.deepEqual(client.called("sync"), []);
  await browser.advance(1);
  assert.deepEqual([client.called("sync"), browser.waits], [[["sync.request"]], []]);
});

test("roots that come, or change their places, are not", () => {
  const { changes, browser } = scene(root("live-a"));
  changes.update();
  document.body.append(root("live-b"));
  changes.update();
  document.body.append(document.getElementById("live-a"));
  changes.update();
  assert.deepEqual(browser.waits, []);
});

test("cards are finished as they were when they were shown", async () => {
  const card = element("div", { "data-live-progress": "s", "data-live-done": "complete" });
  const { changes, browser } = scene(card);
  const finished = [];
  browser.modules["progress.js"] = { finish: ([one, data]) => finished.push([one, data]) };
  changes.update();
  card.dataset.liveDone = "changed";
  await settled();
  assert.deepEqual(finished, [[card, { liveProgress: "s", liveDone: "complete" }]]);
});

test("without a card the module is not loaded, and one that cannot be loaded breaks nothing", async () => {
  const { changes, browser } = scene();
  browser.load = () => assert.fail("loaded");
  changes.update();
  browser.load = () => Promise.reject(new Error("cut"));
  document.body.append(element("div", { "data-live-progress": "s" }));
  changes.update();
  await settled();
});

import assert from "node:assert/strict";
import test from "node:test";

import { Reachability } from "../../static/htmx_live/src/reachability.js";
import { testClient } from "./client.mjs";
import { element, show } from "./dom.mjs";

function scene() {
  const banner = element("div", { class: "live-banner", "data-live-part": "banner" });
  const messages = element("template", { id: "live-messages", content: element("div", {}, banner) });
  show(messages);
  const client = testClient();
  const reachability = new Reachability(client);
  client.reachability = reachability;
  return {
    client,
    reachability,
    browser: client.browser,
    banners: () => document.querySelectorAll(".live-banner").length,
  };
}

const events = () => document.events.map(([type]) => type);

test("a server that does not answer is said once, with a banner that stays", () => {
  const { client, reachability, banners } = scene();
  reachability.miss();
  reachability.miss();
  assert.deepEqual(
    [reachability.isOffline, events(), banners(), client.called("refresh").length],
    [true, ["live:disconnected"], 1, 1],
  );
  reachability.confirm();
  reachability.hasAnswered = false;
  reachability.miss();
  assert.deepEqual([banners(), events().length], [1, 2]);
});

test("a page with a banner of its own gets none", () => {
  const { reachability, banners } = scene();
  document.body.append(element("p", { class: "live-banner" }));
  reachability.miss();
  assert.equal(banners(), 1);
});

test("a project that left the banner out has none, nor anything in its place", () => {
  const { reachability } = scene();
  const body = show();
  reachability.miss();
  assert.deepEqual([reachability.isOffline, body.children, body.textContent], [true, [], ""]);
});

test("a banner that a script of the page removed comes back with the next loss only", () => {
  const { reachability, banners } = scene();
  reachability.miss();
  document.querySelector(".live-banner").remove();
  reachability.confirm();
  assert.equal(banners(), 0);
});

test("nothing is said once an answer has come, of a hidden page, and of a refused one", () => {
  const { client, reachability, browser } = scene();
  reachability.hasAnswered = true;
  reachability.miss();
  reachability.hasAnswered = false;
  browser.hidden = true;
  reachability.miss();
  browser.hidden = false;
  client.connection.isStopped = true;
  reachability.miss();
  assert.deepEqual([reachability.isOffline, events()], [false, []]);
});

test("an answer ends it, opens the stream soon, and sends what got no answer", () => {
  const { client, reachability } = scene();
  reachability.miss();
  client.calls.length = 0;
  reachability.confirm();
  assert.deepEqual([reachability.isOffline, reachability.hasAnswered, events()], [false, true, ["live:disconnected"]]);
  assert.deepEqual(client.calls, [
    ["connection.reopenSoon"],
    ["refresh"],
    ["toasts.dismissError", "unshared"],
    ["requests.repeatUnanswered"],
  ]);
});

test("a second answer does not open the stream again", () => {
  const { client, reachability } = scene();
  reachability.hasAnswered = true;
  reachability.confirm();
  assert.deepEqual(client.called("connection"), []);
});

test("an answer to a refused page leaves the toast that says so", () => {
  const { client, reachability } = scene();
  client.connection.isStopped = true;
  reachability.confirm();
  assert.deepEqual(client.called("toasts"), []);
});

test("a hello counts after a moment, and after the sync that it may have asked for", async () => {
  const { client, reachability, browser } = scene();
  client.connection.isConnected = true;
  let end;
  client.sync.running = new Promise((resolve) => (end = resolve));
  reachability.confirmAfterHello();
  await browser.advance(49);
  client.sync.running = client.sync.running.then(() => true);
  await browser.advance(1);
  assert.equal(reachability.hasAnswered, false);
  end();
  await browser.advance(0);
  assert.equal(reachability.hasAnswered, true);
});

test("a hello without a sync counts", async () => {
  const { client, reachability, browser } = scene();
  client.connection.isConnected = true;
  reachability.confirmAfterHello();
  await browser.advance(50);
  assert.equal(reachability.hasAnswered, true);
});

test("a hello counts for nothing if the sync fails, or if the stream has closed since", async () => {
  const { client, reachability, browser } = scene();
  client.connection.isConnected = true;
  client.sync.running = Promise.resolve(false);
  reachability.confirmAfterHello();
  await browser.advance(50);
  client.sync.running = null;
  client.connection.isConnected = false;
  reachability.confirmAfterHello();
  await browser.advance(50);
  client.connection.isConnected = true;
  reachability.confirmAfterHello();
  reachability.ignoreHello();
  await browser.advance(50);
  assert.equal(reachability.hasAnswered, false);
});

test("the classes of body say what the style sheet shows", () => {
  const { reachability, browser } = scene();
  reachability.isOffline = true;
  reachability.update();
  assert.equal(document.body.getAttribute("class"), "live-offline");
  browser.online = false;
  reachability.isOffline = false;
  reachability.update();
  assert.equal(document.body.getAttribute("class"), "live-network-down");
});

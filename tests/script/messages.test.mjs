import assert from "node:assert/strict";
import test from "node:test";

import { Messages } from "../../static/htmx_live/src/messages.js";
import { testClient } from "./client.mjs";
import { show } from "./dom.mjs";

/** What a message makes the other parts do. */
function receive(event, data) {
  show();
  const client = testClient();
  client.sync = {
    request: () => client.calls.push(["sync.request", document.events.length]),
    requestEverything: () => client.calls.push(["sync.requestEverything", document.events.length]),
  };
  new Messages(client).receive(event, data);
  return { calls: client.calls, visited: client.browser.visited, events: document.events };
}

test("a message without an event has partials", () => {
  assert.deepEqual(receive("", "<p>").calls, [["fragments.apply", "<p>"]]);
});

test("text, notices and hello go to their parts", () => {
  assert.deepEqual(receive("append", '{"target": "log"}').calls, [["textStreams.append", { target: "log" }]]);
  assert.deepEqual(receive("notice", '{"message": "Hello"}').calls, [["toasts.showNotice", { message: "Hello" }]]);
  assert.deepEqual(receive("hello", '{"heartbeat": 20}').calls, [["connection.welcome", 20]]);
});

test("a redirect leads to a page of the web", () => {
  assert.deepEqual(receive("redirect", '{"url": "/orders/"}').visited, ["/orders/"]);
  assert.deepEqual(receive("redirect", '{"url": "javascript:alert(1)"}').visited, []);
});

test("a reset is told to the page, and everything is asked for", () => {
  const { calls, events } = receive("reset", "{}");
  assert.deepEqual([calls, events], [[["sync.requestEverything", 1]], [["live:reset", null]]]);
});

test("a sync needs no data", () => {
  assert.deepEqual(receive("sync", "").calls, [["sync.request", 0]]);
});

test("an event of a newer server is ignored", () => {
  assert.deepEqual(receive("news", "no JSON").calls, []);
});

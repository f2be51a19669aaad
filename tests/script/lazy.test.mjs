// The modules that load when a page needs them: what they decide.

import assert from "node:assert/strict";
import test from "node:test";

import { swapFor } from "../../static/htmx_live/src/plain.js";
import { finish } from "../../static/htmx_live/src/progress.js";
import { parseHeaders } from "../../static/htmx_live/src/upload.js";
import { announcementsDue, formatPercent } from "../../static/htmx_live/src/upload-indicator.js";
import { element, openTab, show } from "./dom.mjs";

test("an upload is announced every 25 per cent, and once all is sent", () => {
  const due = [
    [0, 1],
    [24, 100],
    [25, 100],
    [99, 100],
    [100, 100],
    [1, 0],
  ].map(([sent, total]) => announcementsDue(sent, total));
  assert.deepEqual(due, [0, 0, 1, 3, 4, 5]);
});

test("per cents are whole, rounded down", () => {
  assert.deepEqual([formatPercent("{} %", 2, 3), formatPercent(undefined, 1, 2)], ["66 %", ""]);
});

test("headers are read line by line, also those that come twice", () => {
  assert.deepEqual(
    [...parseHeaders("x-live-url: push /a: b\r\nx-one:1\r\nx-one: 2\r\n")],
    [
      ["x-live-url", "push /a: b"],
      ["x-one", "1, 2"],
    ],
  );
});

test("without htmx 4 a swap replaces, or adds, or deletes", () => {
  const names = [
    "outerMorph",
    "outerHTML",
    "innerMorph",
    null,
    "",
    "beforebegin",
    "afterbegin",
    "beforeend",
    "afterend",
    "delete",
  ];
  const methods = names.map((name) => {
    const called = [];
    swapFor(name)(new Proxy({}, { get: (_, method) => (content) => called.push([method, content]) }), "content");
    return called.flat();
  });
  assert.deepEqual(
    methods.map(([method]) => method),
    [
      "replaceWith",
      "replaceWith",
      "replaceChildren",
      "replaceChildren",
      "replaceChildren",
      "before",
      "prepend",
      "append",
      "after",
      "remove",
    ],
  );
  assert.deepEqual(
    methods.map(([, content]) => content),
    [...Array(9).fill("content"), undefined],
  );
});

/** A card that this tab sees in each of these states, one after the other. */
function see(...states) {
  const visited = [];
  const card = element("div");
  openTab();
  globalThis.location = { origin: "https://example.org", assign: (url) => visited.push(String(url)) };
  show(card);
  for (const state of states)
    finish([card, { liveProgress: "s", liveEvent: "import-over", liveRedirect: "/report/", ...state }]);
  return { events: document.events, visited };
}

test("a card that was seen running dispatches its event and redirects, once", () => {
  const { events, visited } = see({}, { liveDone: "complete" }, { liveDone: "complete" });
  assert.deepEqual(events, [["import-over", { session: "s", status: "complete" }]]);
  assert.deepEqual(visited, ["https://example.org/report/"]);
});

test("a card that was over when it was first seen does nothing", () => {
  assert.deepEqual(see({ liveDone: "complete" }), { events: [], visited: [] });
});

test("a failed one dispatches its event and leads nowhere", () => {
  const { events, visited } = see({}, { liveDone: "error" });
  assert.deepEqual([events.length, visited], [1, []]);
});

test("a redirect to another site, or to none, is not followed", () => {
  assert.deepEqual(see({}, { liveDone: "complete", liveRedirect: "https://other.example/" }).visited, []);
  assert.deepEqual(see({}, { liveDone: "complete", liveRedirect: "" }).visited, []);
  assert.deepEqual(see({}, { liveDone: "complete", liveEvent: "" }).events, []);
});

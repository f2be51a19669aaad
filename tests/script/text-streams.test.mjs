import assert from "node:assert/strict";
import test from "node:test";

import { TextStreams, covers, extend, position } from "../../static/htmx_live/src/text-streams.js";
import { testClient } from "./client.mjs";
import { element, show } from "./dom.mjs";

const message = (offset, text, generation = "a1") => ({ target: "log", generation, offset, text });

/** The element after messages, and what the part asked of others. */
function append(at, shown, ...messages) {
  const stream = element("span", { id: "log", "data-live-offset": at }, shown);
  const client = testClient();
  const part = new TextStreams(client);
  show(stream);
  for (const one of messages) part.append(one);
  return { text: stream.textContent, at: stream.dataset.liveOffset, calls: client.calls, events: document.events };
}

test("a position is a generation and an offset", () => {
  assert.deepEqual(
    [position("a1.12"), position("")],
    [
      ["a1", 12],
      ["", NaN],
    ],
  );
});

test("text that follows is added at the end", () => {
  const { text, at, events } = append("a1.2", "ab", message(2, "cd"), message(4, "e"));
  assert.deepEqual([text, at], ["abcde", "a1.5"]);
  assert.deepEqual(events, [
    ["live:append", { id: "log", text: "cd" }],
    ["live:append", { id: "log", text: "e" }],
  ]);
});

test("text that the element already has is dropped, and a tail is cut to what is new", () => {
  assert.deepEqual(extend("a1.4", message(1, "bcde")), { clears: false, tail: "e", at: "a1.5" });
  assert.deepEqual(extend("a1.4", message(1, "bc")), { clears: false, tail: "", at: "a1.4" });
});

test("an offset counts characters, of which some are two units", () => {
  assert.deepEqual(extend("a1.1", message(0, "😀é😀")), { clears: false, tail: "é😀", at: "a1.3" });
});

test("a gap asks for a sync and changes nothing", () => {
  const { text, at, calls, events } = append("a1.2", "ab", message(3, "d"));
  assert.deepEqual([text, at, calls, events], ["ab", "a1.2", [["sync.request"]], []]);
});

test("another generation replaces the text from its beginning", () => {
  const { text, at } = append("a1.2", "ab", message(0, "xyz", "b2"));
  assert.deepEqual([text, at], ["xyz", "b2.3"]);
});

test("another generation in its middle asks for a sync", () => {
  assert.equal(extend("a1.2", message(1, "x", "b2")), null);
});

test("an element without a position takes a generation from its beginning", () => {
  assert.deepEqual(extend(undefined, message(0, "x")), { clears: true, tail: "x", at: "a1.1" });
});

test("text for an element that is not on the page is passed over", () => {
  const { calls, events } = append("a1.2", "ab", { ...message(2, "c"), target: "other" });
  assert.deepEqual([calls, events], [[], []]);
});

test("text goes into the text node that is there, so that a selection in it stays", () => {
  const stream = element("span", { id: "log", "data-live-offset": "a1.0" });
  const grown = [];
  Object.defineProperty(stream, "lastChild", { value: { appendData: (text) => grown.push(text) } });
  show(stream);
  new TextStreams(testClient()).append(message(0, "a"));
  assert.deepEqual([grown, stream.textContent], [["a"], ""]);
});

test("an empty element gets text, and a message without new text adds none", () => {
  assert.equal(append("a1.0", "", message(0, "a")).text, "a");
  assert.equal(append("a1.1", "a", message(0, "a")).text, "a");
});

test("a text covers a shorter or equal one of its own generation", () => {
  const pairs = [
    ["a1.3", "a1.2"],
    ["a1.3", "a1.3"],
    ["a1.3", "a1.4"],
    ["a1.3", "b2.1"],
    [undefined, "a1.1"],
  ];
  assert.deepEqual(
    pairs.map(([mine, theirs]) => covers(mine, theirs)),
    [true, true, false, false, false],
  );
});

import assert from "node:assert/strict";
import test from "node:test";

import { EventStreamParser } from "../../static/htmx_live/src/event-stream.js";

const read = (...pieces) =>
  pieces.flatMap(
    (
      (parser) => (piece) =>
        parser.read(piece)
    )(new EventStreamParser()),
  );

test("a message has the data of all its lines, its event and its id", () => {
  assert.deepEqual(read("id: e.7\nevent: notice\ndata: one\ndata:two\n\n"), [
    { event: "notice", data: "one\ntwo", id: "e.7" },
  ]);
});

test("a message begins without what the one before it had", () => {
  const [, second] = read("id: e.7\nevent: notice\ndata: one\n\n", "data: two\n\n");
  assert.deepEqual(second, { event: "", data: "two", id: null });
});

test("a heartbeat has an id and no data", () => {
  assert.deepEqual(read(": \nid: e.8\n\n"), [{ event: "", data: null, id: "e.8" }]);
});

test("an empty line of data is data", () => {
  assert.deepEqual(read("data:\n\n")[0].data, "");
});

test("only the first space of a value is dropped, and a colon is part of it", () => {
  assert.deepEqual(read("data:  a: b\n\n")[0].data, " a: b");
});

test("other fields and lines without a colon are passed over", () => {
  assert.deepEqual(read("retry: 3\nnonsense\ndata: x\n\n"), [{ event: "", data: "x", id: null }]);
});

test("lines end with CR, LF or both", () => {
  assert.deepEqual(
    read("data: a\r\ndata: b\rdata: c\n\r\n").map(({ data }) => data),
    ["a\nb\nc"],
  );
});

for (const text of [
  "id: e.7\r\nevent: x\r\ndata: one\r\n\r\ndata: two\r\n\r\n",
  "id: e.7\nevent: x\ndata: one\n\ndata: two\n\n",
])
  test(`pieces may end anywhere (${JSON.stringify(text.slice(7, 9))})`, () => {
    const whole = read(text);
    assert.deepEqual(
      whole.map(({ data }) => data),
      ["one", "two"],
    );
    for (let cut = 1; cut < text.length; cut++) assert.deepEqual(read(text.slice(0, cut), text.slice(cut)), whole);
    assert.deepEqual(read(...text), whole);
  });

test("a message that is cut off is not read, nor is its id", () => {
  assert.deepEqual(read("id: e.7\ndata: half"), []);
});

test("a colon may be the first character of a value", () => {
  assert.deepEqual(read("event::x\ndata: y\n\n")[0].event, ":x");
});

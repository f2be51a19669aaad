import assert from "node:assert/strict";
import test from "node:test";

import { RequestQueue } from "../../static/htmx_live/src/request-queue.js";
import { settled } from "./client.mjs";

/** A queue, and a function that adds a request and notes in `order` when its turn has come. */
function scene() {
  const queue = new RequestQueue();
  const order = [];
  const add = (name, root, options = {}) => {
    const request = { name, root, ...options };
    const controller = new AbortController();
    queue.add(request);
    queue.turn(request, controller.signal).then(() => order.push(name));
    return Object.assign(request, { controller });
  };
  return { queue, order, add };
}

test("events of one view go one at a time, in the order of the clicks", async () => {
  const { queue, order, add } = scene();
  const first = add("first", "live-a");
  const second = add("second", "live-a");
  add("third", "live-a");
  await settled();
  assert.deepEqual(order, ["first"]);
  queue.settle(first);
  await settled();
  assert.deepEqual(order, ["first", "second"]);
  queue.settle(second);
  await settled();
  assert.deepEqual(order, ["first", "second", "third"]);
});

test("views do not wait for each other", async () => {
  const { order, add } = scene();
  add("a", "live-a");
  add("b", "live-b");
  await settled();
  assert.deepEqual(order, ["a", "b"]);
});

test("the end of a request that waits changes nothing for those behind it", async () => {
  const { queue, order, add } = scene();
  add("first", "live-a");
  const second = add("second", "live-a");
  add("third", "live-a");
  queue.settle(second);
  await settled();
  assert.deepEqual([order, queue.first("live-a").name], [["first"], "first"]);
});

test("a request that is aborted while it waits goes on at once", async () => {
  const { order, add } = scene();
  add("first", "live-a");
  const second = add("second", "live-a");
  second.controller.abort();
  await settled();
  assert.deepEqual(order, ["first", "second"]);
});

test("of waiting keystrokes in one control only the newest is sent", async () => {
  const { order, add } = scene();
  const trigger = {};
  add("click", "live-a");
  const older = add("older", "live-a", { trigger, isTyping: true });
  const newer = add("newer", "live-a", { trigger, isTyping: true });
  await settled();
  assert.deepEqual([order, older.isSuperseded, newer.isSuperseded], [["click", "older"], true, undefined]);
});

test("a keystroke supersedes neither a click, nor another control's, nor one that is on its way", async () => {
  const { add } = scene();
  const trigger = {};
  const sent = add("sent", "live-a", { trigger, isTyping: true });
  const click = add("click", "live-a", { trigger });
  const other = add("other", "live-a", { trigger: {}, isTyping: true });
  await settled();
  add("newer", "live-a", { trigger, isTyping: true });
  assert.deepEqual(
    [sent, click, other].map((one) => one.isSuperseded),
    [undefined, undefined, undefined],
  );
});

test("a keystroke that has waited for its turn is on its way, too", async () => {
  const { queue, add } = scene();
  const trigger = {};
  const first = add("first", "live-a");
  const sent = add("sent", "live-a", { trigger, isTyping: true });
  queue.settle(first);
  await settled();
  add("newer", "live-a", { trigger, isTyping: true });
  assert.equal(sent.isSuperseded, undefined);
});

test("a click supersedes no keystroke", async () => {
  const { add } = scene();
  const trigger = {};
  add("first", "live-a");
  const typed = add("typed", "live-a", { trigger, isTyping: true });
  add("click", "live-a", { trigger });
  assert.equal(typed.isSuperseded, undefined);
});

test("the requests in flight are those that were added and have not settled, oldest first", () => {
  const { queue, add } = scene();
  const first = add("first", "live-a");
  const second = add("second", "live-b");
  const all = [...queue];
  queue.settle(first);
  assert.deepEqual([all, [...queue], queue.first("live-a")], [[first, second], [second], undefined]);
});

test("an abort marks the requests of its trigger", () => {
  const { queue, add } = scene();
  const trigger = {};
  const mine = add("mine", "live-a", { trigger });
  const other = add("other", "live-a", { trigger: {} });
  queue.markAborted(trigger);
  assert.deepEqual([mine.isAborted, other.isAborted], [true, undefined]);
});

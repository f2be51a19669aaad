import assert from "node:assert/strict";
import test from "node:test";

import { Fragments, decide, isStale, replacementsIn } from "../../static/htmx_live/src/fragments.js";
import { RequestQueue } from "../../static/htmx_live/src/request-queue.js";
import { testClient } from "./client.mjs";
import { element, show } from "./dom.mjs";

const root = (id, rev, ...children) =>
  element("div", { id, "data-live": "grant-" + id, "data-live-rev": String(rev) }, ...children);

/** What htmx plans to do with a fragment. */
const plan = (target, fragment) => ({ target, fragment: element("template", {}, fragment) });

/** A page with the view "live-a" in revision 5. */
function scene() {
  const target = root("live-a", 5);
  show(target);
  const client = testClient({ queue: new RequestQueue() });
  const fragments = new Fragments(client);
  client.fragments = fragments;
  /** Filter the plan of a swap, and return the revisions of what is left. */
  const filter = (live, ...tasks) => {
    const context = { live, transition: true };
    fragments.filterStale(context, tasks);
    return { left: tasks.map(({ fragment }) => fragment.firstElementChild?.dataset.liveRev), context };
  };
  const inserted = () =>
    client.called("htmx.insert").map(([, { fragment }]) => fragment.firstElementChild.dataset.liveRev);
  return { target, client, fragments, filter, inserted, browser: client.browser };
}

const EVENT = { handler: "save", root: "live-a" };
const PUSH = {};

test("a render is stale unless it is newer than the page's", () => {
  const stale = (id, rev) => isStale(root("live-a", 5), root(id, rev));
  assert.deepEqual(
    [stale("live-a", 4), stale("live-a", 5), stale("live-a", 6), stale("live-b", 4)],
    [true, true, false, false],
  );
});

test("revisions are compared as numbers", () => {
  assert.equal(isStale(root("live-a", 9), root("live-a", 10)), false);
});

test("a fragment is applied, dropped, deferred, or takes another view's place", () => {
  const target = root("live-a", 5);
  assert.equal(decide(target, root("live-a", 6), false), "apply");
  assert.equal(decide(target, root("live-a", 5), false), "drop");
  assert.equal(decide(target, root("live-a", 6), true), "defer");
  assert.equal(decide(target, root("live-a", 5), true), "defer"); // the answer may be from before
  assert.equal(decide(target, root("live-b", 1), true), "reattach");
});

test("stale partials are taken out of the plan", () => {
  const { target, filter } = scene();
  assert.deepEqual(filter(EVENT, plan(target, root("live-a", 4)), plan(target, root("live-a", 6))).left, ["6"]);
});

test("what is applied is not deferred as well, and what is kept stays kept", () => {
  const { target, fragments, filter, inserted, browser } = scene();
  const kept = element("div", { "data-live-keep": "" });
  target.append(kept);
  filter(PUSH, plan(target, root("live-a", 6)));
  fragments.flushDeferred();
  assert.deepEqual([inserted(), browser.waits, kept.dataset.liveKeep], [[], [], ""]);
});

test("what renders no view is left alone, and what goes to none", () => {
  const { target, fragments } = scene();
  const plain = element("p");
  const tasks = [plan(target, plain), plan(plain, root("live-a", 1)), { target }, plan(undefined, root("live-a", 1))];
  tasks.push({ target, fragment: { firstElementChild: {} } }, plan({}, root("live-a", 1))); // nodes without a dataset
  const before = [...tasks];
  fragments.filterStale({ live: EVENT }, tasks);
  assert.deepEqual(tasks, before);
});

test("an empty root is filled, whatever its revision", () => {
  const { target, filter } = scene();
  target.dataset.live = "";
  assert.deepEqual(filter(EVENT, plan(target, root("live-a", 1))).left, ["1"]);
});

test("a swap of ours begins with its request, and without a view transition", () => {
  const { target, client, filter } = scene();
  assert.equal(filter(EVENT, plan(target, root("live-a", 6))).context.transition, false);
  assert.equal(filter(undefined).context.transition, true);
  assert.deepEqual(client.called("morph"), [
    ["morph.begin", EVENT],
    ["morph.begin", undefined],
  ]);
});

test("a push waits for the answer to an event on its view, and is swapped after it", () => {
  const { target, client, fragments, filter, inserted } = scene();
  client.queue.add(EVENT);
  assert.deepEqual(filter(PUSH, plan(target, root("live-a", 6))).left, []);
  fragments.flushDeferred();
  assert.deepEqual(inserted(), []);
  client.queue.settle(EVENT);
  fragments.flushDeferred();
  fragments.flushDeferred();
  assert.deepEqual(inserted(), ["6"]);
});

test("pushes that waited are swapped in their order, and not if the answer was newer", () => {
  const { target, client, fragments, filter, inserted } = scene();
  client.queue.add(EVENT);
  filter(PUSH, plan(target, root("live-a", 6)), plan(target, root("live-a", 7)), plan(target, root("live-a", 8)));
  target.dataset.liveRev = "6";
  client.queue.settle(EVENT);
  fragments.flushDeferred();
  assert.deepEqual(inserted(), ["7", "8"]);
});

test("a push waits for two seconds at most", async () => {
  const { target, client, filter, inserted, browser } = scene();
  client.queue.add(EVENT);
  filter(PUSH, plan(target, root("live-a", 6)));
  await browser.advance(1999);
  assert.deepEqual(inserted(), []);
  await browser.advance(1);
  assert.deepEqual(inserted(), ["6"]);
});

test("a push that waited is swapped as a push", () => {
  const { target, client, fragments, filter } = scene();
  client.queue.add(EVENT);
  filter(PUSH, plan(target, root("live-a", 6)));
  client.queue.settle(EVENT);
  client.calls.length = 0;
  fragments.flushDeferred();
  assert.deepEqual(
    client.calls.map(([call]) => call),
    ["morph.begin", "htmx.insert"],
  );
  assert.deepEqual(client.calls[0][1], {});
});

test("neither an event on another view, nor an answer, nor a foreign swap makes anything wait", () => {
  const { target, client, filter } = scene();
  client.queue.add({ handler: "save", root: "live-b" });
  assert.deepEqual(filter(PUSH, plan(target, root("live-a", 6))).left, ["6"]);
  client.queue.add(EVENT);
  assert.deepEqual(filter(EVENT, plan(target, root("live-a", 7))).left, ["7"]);
  assert.deepEqual(filter(undefined, plan(target, root("live-a", 8))).left, ["8"]);
});

test("a push whose view has gone meanwhile is dropped", () => {
  const { target, client, fragments, filter, inserted } = scene();
  client.queue.add(EVENT);
  filter(PUSH, plan(target, root("live-a", 6)));
  target.remove();
  fragments.flushDeferred();
  document.body.append(target);
  client.queue.settle(EVENT);
  fragments.flushDeferred();
  assert.deepEqual(inserted(), []);
});

test("a push that waited goes to the element that is there now", () => {
  const { target, client, fragments, filter } = scene();
  const newer = root("live-a", 5);
  client.queue.add(EVENT);
  filter(PUSH, plan(target, root("live-a", 6)));
  target.remove();
  document.body.append(newer);
  client.queue.settle(EVENT);
  fragments.flushDeferred();
  assert.equal(client.called("htmx.insert")[0][1].target, newer);
});

test("a view from before a reload takes a root's place under its own id, without what was kept", () => {
  const kept = element("div", { "data-live-keep": "" });
  const { target, fragments, filter } = scene();
  target.append(kept);
  assert.deepEqual(filter(PUSH, plan(target, root("live-old", 1))).left, ["1"]);
  assert.deepEqual([target.id, kept.dataset.liveKeep], ["live-old", undefined]);
  assert.deepEqual([fragments.rootOf("live-a"), fragments.rootOf("live-old")], [target, target]);
});

test("a root is found by its id; without one there is none", () => {
  const { target, fragments } = scene();
  assert.deepEqual([fragments.rootOf("live-a"), fragments.rootOf("live-x"), fragments.rootOf()], [target, null, null]);
});

const partial = (target, how = "outerMorph", text = "") =>
  `<hx-partial hx-target="#${target}" hx-swap="${how}">${text}</hx-partial>`;

test("the replacements in a text are found, the last for each target", () => {
  const parts = [
    partial("a", "outerMorph", "1\n2"),
    partial("b", "innerHTML"),
    partial("a", "outerMorph", "3"),
    partial("c", "beforeend"),
    partial("d", "delete"),
  ];
  assert.deepEqual(
    [...replacementsIn(parts.join("\n"))],
    [
      ["a", parts[2]],
      ["b", parts[1]],
    ],
  );
});

test("partials are swapped by htmx", async () => {
  const { client, fragments } = scene();
  const text = partial("live-a");
  await fragments.apply(text);
  fragments.applyEarly();
  assert.deepEqual(client.calls, [["htmx.swap", text]]);
});

test("without htmx 4 another module replaces what they name, and then all is brought up to date", async () => {
  const { client, fragments, browser } = scene();
  const swapped = [];
  client.htmx.isReady = false;
  browser.modules["plain.js"] = { swap: (text) => swapped.push(text) };
  await fragments.apply("<p>");
  assert.deepEqual([swapped, client.calls], [["<p>"], [["refresh"]]]);
});

test("a fragment whose target comes within half a minute is applied then, once", async () => {
  const { client, fragments, browser } = scene();
  fragments.apply(partial("live-b", "outerMorph", "old") + partial("live-b", "outerMorph", "new"));
  client.calls.length = 0;
  fragments.applyEarly();
  assert.deepEqual(client.calls, []);
  await browser.advance(30_000);
  document.body.append(root("live-b", 1));
  fragments.applyEarly();
  fragments.applyEarly();
  assert.deepEqual(client.calls, [["htmx.swap", partial("live-b", "outerMorph", "new")]]);
});

test("after half a minute it is forgotten", async () => {
  const { client, fragments, browser } = scene();
  fragments.apply(partial("live-b"));
  client.calls.length = 0;
  await browser.advance(30_001);
  document.body.append(root("live-b", 1));
  fragments.applyEarly();
  assert.deepEqual(client.calls, []);
});

test("a fragment that is forgotten stays so, also if the page's clock is put back", async () => {
  const { client, fragments, browser } = scene();
  fragments.apply(partial("live-b"));
  client.calls.length = 0;
  browser.time += 30_001;
  fragments.applyEarly();
  browser.time -= 30_001;
  document.body.append(root("live-b", 1));
  fragments.applyEarly();
  assert.deepEqual(client.calls, []);
});

import assert from "node:assert/strict";
import test from "node:test";

import { Loading, isBusy, isWanted, matches, pendingJobs } from "../../static/htmx_live/src/loading.js";
import { RequestQueue } from "../../static/htmx_live/src/request-queue.js";
import { testClient } from "./client.mjs";
import { element, show } from "./dom.mjs";

const view = (id, ...children) => element("div", { id, "data-live": "grant" }, ...children);
const trigger = (handler, attributes = {}) => element("button", { "data-live-event": handler, ...attributes });
const directive = (attributes = {}) => element("p", { "data-live-show": "", ...attributes });

/** A page of these elements, and its loading state. */
function scene(...children) {
  show(...children);
  const shown = new Map();
  const client = testClient({ queue: new RequestQueue() });
  const loading = new Loading(client);
  client.directives = {
    update: (decide) => document.querySelectorAll("[data-live-show]").forEach((one) => shown.set(one, decide(one))),
  };
  client.refresh = () => loading.update();
  const begin = (request) => (client.queue.add(request), loading.update(), request);
  const end = (request) => (client.queue.settle(request), loading.update());
  return { client, loading, shown, begin, end };
}

const classes = (...elements) => elements.map((one) => one.getAttribute("class") ?? "");

test("pending jobs are words of a handler, a name and perhaps a key, quoted", () => {
  assert.deepEqual(pendingJobs("live-a", "save:save  resend:re%20send:7%3A1"), [
    { root: "live-a", handler: "save", name: "save", key: undefined },
    { root: "live-a", handler: "resend", name: "re send", key: "7:1" },
  ]);
  assert.deepEqual(pendingJobs("live-a", ""), []);
});

test("an activity has a handler's or a job's name, in a view or in all, with any key or one", () => {
  const activity = { root: "live-a", handler: "save", name: "job", key: "7" };
  const cases = [
    ["save", "live-a"],
    ["job", "live-a"],
    ["other", "live-a"],
    ["save", "live-b"],
    ["save", "*"],
    ["save", "live-a", "7"],
    ["save", "live-a", "8"],
  ];
  assert.deepEqual(
    cases.map((args) => matches(activity, ...args)),
    [true, true, false, false, true, true, false],
  );
  assert.equal(matches({ root: "*", handler: "save" }, "save", "live-b"), true);
});

test("a request makes its own trigger busy, and no other of the same handler", () => {
  const mine = trigger("save");
  const other = trigger("save");
  show(view("live-a", mine, other));
  const active = [{ root: "live-a", handler: "save", trigger: mine }];
  assert.deepEqual([isBusy(mine, active), isBusy(other, active)], [true, false]);
});

test("a request whose trigger was swapped away belongs to an equal one", () => {
  const [equal, args, handler] = [
    trigger("save", { "data-live-args": "[1]" }),
    trigger("save", { "data-live-args": "[2]" }),
    trigger("drop", { "data-live-args": "[1]" }),
  ];
  const elsewhere = trigger("save", { "data-live-args": "[1]" });
  show(view("live-a", equal, args, handler), view("live-b", elsewhere));
  const active = [{ root: "live-a", handler: "save", args: "[1]", trigger: trigger("save") }];
  assert.deepEqual(
    [equal, args, handler, elsewhere].map((one) => isBusy(one, active)),
    [true, false, false, false],
  );
});

test("a job makes the triggers of its handler and key busy, whatever their arguments", () => {
  const keyed = trigger("save", { "data-live-key": "7", "data-live-args": "[1]" });
  const other = trigger("save", { "data-live-key": "8" });
  const plain = trigger("save");
  show(view("live-a", keyed, other, plain));
  const active = pendingJobs("live-a", "save:save:7");
  assert.deepEqual(
    [keyed, other, plain].map((one) => isBusy(one, active)),
    [true, false, true],
  );
});

test("a directive with names follows these in its own view, or with *: in any", () => {
  const own = directive({ "data-live-for": "save drop" });
  const any = directive({ "data-live-for": "*:save" });
  const keyed = directive({ "data-live-for": "save", "data-live-key": "7" });
  show(view("live-a", own, any, keyed));
  const wanted = (...active) => [own, any, keyed].map((one) => isWanted(one, active, ""));
  assert.deepEqual(wanted({ root: "live-a", handler: "drop" }), [true, false, false]);
  assert.deepEqual(wanted({ root: "live-b", handler: "save" }), [false, true, false]);
  assert.deepEqual(wanted({ root: "live-a", handler: "save", key: "7" }), [true, true, true]);
  assert.deepEqual(wanted(), [false, false, false]);
});

test("a directive with no names at all follows nothing", () => {
  const none = directive({ "data-live-for": "" });
  show(view("live-a", trigger("save", {}), none));
  assert.equal(isWanted(none, [{ root: "live-a", handler: "save" }], ""), false);
});

test("a directive in a trigger, or on it, follows that", () => {
  const inside = directive();
  const button = trigger("save", {});
  button.append(inside);
  show(view("live-a", button));
  const active = [{ root: "live-a", handler: "save", trigger: button }];
  assert.deepEqual(
    [isWanted(inside, active, ""), isWanted(button, active, ""), isWanted(inside, [], "")],
    [true, true, false],
  );
});

test("another one follows all triggers of its group, and without a group none", () => {
  const grouped = directive();
  const alone = directive();
  const button = trigger("save");
  const card = element("div", { class: "card" }, element("p", {}, grouped), trigger("drop"), button);
  show(view("live-a", card, alone));
  const active = [{ root: "live-a", handler: "save", trigger: button }];
  assert.deepEqual(
    [
      isWanted(grouped, active, "panel card"),
      isWanted(grouped, [], "card"),
      isWanted(grouped, active, ""),
      isWanted(alone, active, "card"),
    ],
    [true, false, false, false],
  );
});

test("a trigger and the page show a request until it ends", () => {
  const button = trigger("save");
  const { begin, end } = scene(view("live-a", button));
  const request = begin({ root: "live-a", handler: "save", trigger: button });
  assert.deepEqual([classes(document.body, button), button.ariaBusy], [["live-loading", "live-busy"], true]);
  end(request);
  assert.deepEqual([classes(document.body, button), button.ariaBusy], [["", ""], null]);
});

test("of two requests the second keeps the state on", () => {
  const button = trigger("save");
  const { begin, end } = scene(view("live-a", button));
  const first = begin({ root: "live-a", handler: "save", trigger: button });
  begin({ root: "live-a", handler: "save", trigger: button });
  end(first);
  assert.deepEqual(classes(document.body, button), ["live-loading", "live-busy"]);
});

test("a trigger that was never busy gets no attribute", () => {
  const button = trigger("save");
  scene(view("live-a", button)).loading.update();
  assert.equal("ariaBusy" in button, false);
});

test("a running job that the page names counts, until the page names it no more", () => {
  const button = trigger("save");
  const root = view("live-a", button);
  const { loading } = scene(root);
  root.dataset.livePending = "save:save";
  loading.update();
  assert.deepEqual(classes(document.body, button), ["live-loading", "live-busy"]);
  loading.forgetJobs();
  loading.update();
  assert.deepEqual([classes(document.body, button), root.dataset.livePending], [["", ""], ""]);
});

test("what a script starts counts in every view, until it stops it", () => {
  const buttons = [trigger("save"), trigger("save"), trigger("drop")];
  const { loading } = scene(view("live-a", buttons[0]), view("live-b", buttons[1], buttons[2]));
  loading.start("save");
  assert.deepEqual(
    [classes(...buttons), loading.isPending("save"), loading.isPending("drop")],
    [["live-busy", "live-busy", ""], true, false],
  );
  loading.stop("save");
  assert.deepEqual([classes(...buttons), loading.isPending("save")], [["", "", ""], false]);
});

test("a handler is pending in any view that it runs in", () => {
  const root = element("div", { id: "live-a", "data-live": "g", "data-live-pending": "save:job" });
  const { client, loading } = scene(root);
  client.queue.add({ root: "live-b", handler: "drop" });
  assert.deepEqual(
    ["save", "job", "drop", "other"].map((name) => loading.isPending(name)),
    [true, true, true, false],
  );
});

test("directives are decided with the groups of the page", () => {
  const button = trigger("save");
  const grouped = directive();
  const { begin, shown } = scene(view("live-a", element("div", { class: "card" }, button, grouped)));
  begin({ root: "live-a", handler: "save", trigger: button });
  assert.equal(shown.get(grouped), true);
});

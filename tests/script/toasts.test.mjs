import assert from "node:assert/strict";
import test from "node:test";

import { Toasts, remountedStatus } from "../../static/htmx_live/src/toasts.js";
import { testClient } from "./client.mjs";
import { element, show } from "./dom.mjs";

/** A toast of the template, for these statuses or this level. */
function part(names, text = "", attributes = {}, action = "close") {
  const button = element("button", { "data-live-action": action });
  return element(
    "div",
    { class: "live-toast", "data-live-part": names, ...attributes },
    element("p", { "data-live-text": "" }, text),
    button,
  );
}

const PARTS = () => [
  part("info"),
  part("error", "", { role: "alert" }),
  part("409", "Busy. {} ", {}, "retry"),
  part("422", "No: {}"),
  part("other", "Failed."),
  part("none", "No answer.", {}, "retry"),
  part("remounted", "Reset."),
  part("restarted", "Reset.", { "data-live-seconds": "3" }),
  part("410", "Gone.", { role: "alert" }, "reload"),
  element("div", { "data-live-toasts": "", "data-live-part": "toasts" }),
];

function scene(parts = PARTS()) {
  show(element("template", { id: "live-messages", content: element("div", {}, ...parts) }));
  const client = testClient();
  const toasts = new Toasts(client);
  const shown = () => document.querySelectorAll(".live-toast").map((toast) => [toast.dataset.key, toast.textContent]);
  const find = (key) => document.querySelectorAll(".live-toast").find((toast) => toast.dataset.key === key);
  const click = (key) => toasts.click(find(key).querySelector("button"));
  return { client, toasts, shown, find, click };
}

const REQUEST = { handler: "save", root: "live-a" };

test("an error has the text of its status, with the detail in it", () => {
  const { toasts, shown } = scene();
  toasts.showError(422, REQUEST, "year");
  toasts.showError(409);
  assert.deepEqual(shown(), [
    ["status-422", "No: year"],
    ["status-409", "Busy."],
  ]);
  assert.deepEqual(document.events[0], ["live:error", { status: 422, handler: "save", detail: "year" }]);
  assert.deepEqual(document.events[1], ["live:error", { status: 409, handler: undefined, detail: "" }]);
});

test("a status without a text of its own has the common one", () => {
  const { toasts, shown } = scene();
  toasts.showError(418);
  assert.deepEqual(shown(), [["status-418", "Failed."]]);
});

test("without any text nothing is shown, and the event is there all the same", () => {
  const { toasts, shown } = scene([]);
  toasts.showError(500);
  assert.deepEqual([shown(), document.events.length], [[], 1]);
});

test("a page without the template shows nothing", () => {
  const { toasts, shown } = scene();
  show();
  toasts.showError(500);
  show(element("div", { id: "live-messages" }));
  toasts.showError(500);
  assert.deepEqual(shown(), []);
});

test("an event goes to the trigger, and to document once that has gone", () => {
  const { toasts } = scene();
  const trigger = element("button");
  const heard = [];
  trigger.addEventListener("live:error", () => heard.push("trigger"));
  document.body.append(trigger);
  toasts.showError(500, { ...REQUEST, trigger });
  trigger.remove();
  toasts.showError(500, { ...REQUEST, trigger });
  assert.deepEqual([heard, document.events.length], [["trigger"], 2]);
});

test("a listener that prevents the default has no toast shown", () => {
  const { toasts, shown } = scene();
  const prevent = (event) => event.preventDefault();
  document.addEventListener("live:error", prevent);
  document.addEventListener("live:notice", prevent);
  toasts.showError(500);
  toasts.showNotice({ message: "Hello" });
  assert.deepEqual(shown(), []);
});

test("a second error of the same status takes the place of the first", () => {
  const { toasts, shown } = scene();
  for (const name of ["year", "month"]) toasts.showError(422, null, name);
  assert.deepEqual(shown(), [["status-422", "No: month"]]);
});

test("toasts stand in the page's place for them, or in one of ours", () => {
  const { toasts } = scene();
  const place = element("div", { "data-live-toasts": "" });
  toasts.showError(500);
  assert.equal(document.querySelectorAll("[data-live-toasts]").length, 1);
  show(...document.querySelectorAll("#live-messages"), place);
  toasts.showError(500);
  assert.equal(place.children.length, 1);
});

test("a notice has its level's look, its text and its id", () => {
  const { toasts, shown, find } = scene();
  toasts.showNotice({ message: "Hello", level: "error", key: "k", id: "live-notice-1" });
  toasts.showNotice({ message: "Hi", level: "unknown", key: "l" });
  assert.deepEqual(
    [shown(), find("k").getAttribute("role"), find("k").id, find("l").id],
    [
      [
        ["k", "Hello"],
        ["l", "Hi"],
      ],
      "alert",
      "live-notice-1",
      "",
    ],
  );
  assert.deepEqual(document.events[0], [
    "live:notice",
    { message: "Hello", level: "error", key: "k", id: "live-notice-1" },
  ]);
});

test("a notice with the same key takes the place of the first; without a key they stand beside each other", () => {
  const { toasts, shown } = scene();
  for (const [message, key] of [
    ["one", "k"],
    ["two", "k"],
    ["three", undefined],
    ["four", undefined],
  ])
    toasts.showNotice({ message, key });
  assert.deepEqual(shown(), [
    ["k", "two"],
    ["", "three"],
    ["", "four"],
  ]);
});

test("a notice without a text takes away the one with that id", () => {
  const { toasts, shown } = scene();
  toasts.showNotice({ message: "one", id: "live-notice-1", key: "a" });
  toasts.showNotice({ message: "two", id: "live-notice-2", key: "b" });
  toasts.showNotice({ message: "", key: "live-notice-1" });
  assert.deepEqual(shown(), [["b", "two"]]);
});

test("a notice is a link where it has a URL of the web", () => {
  const { toasts, find } = scene();
  toasts.showNotice({ message: "one", key: "a", url: "/orders/7/" });
  toasts.showNotice({ message: "two", key: "b", url: "javascript:alert(1)" });
  toasts.showNotice({ message: "three", key: "c" });
  const links = ["a", "b", "c"].map((key) =>
    find(key)
      .querySelectorAll("a")
      .map((link) => link.href),
  );
  assert.deepEqual([links, find("b").textContent], [[["/orders/7/"], [], []], "two"]);
});

test("an error is dismissed by its status", () => {
  const { toasts, shown } = scene();
  toasts.showError(422);
  toasts.showError(409);
  toasts.dismissError(422);
  toasts.dismiss("");
  assert.deepEqual(shown(), [["status-409", "Busy."]]);
});

test("an event that succeeds takes away its own earlier failures", () => {
  const { toasts, shown } = scene();
  toasts.showError(409, REQUEST);
  toasts.showError(422, { ...REQUEST, root: "live-b" });
  toasts.showError("none", { ...REQUEST, handler: "drop" });
  toasts.showError(418);
  toasts.dismissRetries(REQUEST);
  assert.deepEqual(
    shown().map(([key]) => key),
    ["status-422", "status-none", "status-418"],
  );
});

test("trying again sends the request of that toast, which goes", () => {
  const { client, shown, toasts, click } = scene();
  toasts.showError(409, REQUEST);
  click("status-409");
  assert.deepEqual([client.calls, shown()], [[["requests.resend", REQUEST]], []]);
});

test("closing a toast sends nothing, nor does trying again without a request", () => {
  const { client, shown, toasts, click } = scene();
  toasts.showError(422, REQUEST);
  click("status-422");
  toasts.showError("none");
  click("status-none");
  assert.deepEqual([client.calls, shown()], [[], []]);
});

test("a button reloads the page, also one that is in no toast", () => {
  const reloads = [];
  const { toasts, click } = scene();
  const banner = element("button", { "data-live-action": "reload" });
  globalThis.location = { reload: () => reloads.push("reload") };
  toasts.showError(410);
  click("status-410");
  document.body.append(banner);
  toasts.click(banner);
  toasts.click(element("button"));
  toasts.click(document);
  assert.equal(reloads.length, 2);
});

test("a toast goes after six seconds in which it could be seen, or after as many as it says", () => {
  const { client, toasts, shown } = scene();
  toasts.showNotice({ message: "six", key: "a" });
  toasts.showError("restarted");
  const pass = (seconds) => {
    for (let second = 0; second < seconds; second++) toasts.age();
    return shown().length;
  };
  assert.deepEqual([pass(2), pass(1), pass(2)], [2, 1, 1]);
  client.browser.hidden = true;
  assert.equal(pass(10), 1);
  client.browser.hidden = false;
  assert.equal(pass(1), 0);
});

test("an alert stays, and so does what the pointer or the focus is in", () => {
  const { toasts, shown, find } = scene();
  toasts.showError(410);
  for (const state of ["hover", "focus-within"]) {
    toasts.showNotice({ message: state, key: state });
    find(state).states.add(state);
  }
  for (let second = 0; second < 20; second++) toasts.age();
  assert.equal(shown().length, 3);
  find("hover").states.clear();
  for (let second = 0; second < 6; second++) toasts.age();
  assert.equal(shown().length, 2);
});

test("views that were mounted again are said once, and only if that cost something", () => {
  const status = (isEventLost, hasLostState, ...said) =>
    remountedStatus({ isEventLost, hasLostState, isSaid: (one) => said.includes(one) });
  assert.equal(status(false, false), null);
  assert.equal(status(false, true), "restarted");
  assert.equal(status(true, false), "remounted");
  assert.equal(status(false, true, "remounted"), null);
  assert.equal(status(false, false, "none"), "remounted");
});

test("an event that was lost says more than views that were", () => {
  const { toasts, shown } = scene();
  const keys = () => shown().map(([key]) => key);
  toasts.showRemounted({});
  assert.deepEqual(keys(), []);
  toasts.showError("none");
  toasts.showRemounted({});
  assert.deepEqual(keys(), ["status-remounted"]);
  toasts.showRemounted({ hasLostState: true });
  assert.deepEqual(keys(), ["status-remounted"]);
  toasts.dismissError("remounted");
  toasts.showRemounted({ hasLostState: true });
  assert.deepEqual(keys(), ["status-restarted"]);
  toasts.showRemounted({ isEventLost: true });
  assert.deepEqual(keys(), ["status-remounted"]);
});

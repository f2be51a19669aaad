import assert from "node:assert/strict";
import test from "node:test";

import { Directives, advance, applyDirective, initialState } from "../../static/htmx_live/src/directives.js";
import { testClient } from "./client.mjs";
import { element, show } from "./dom.mjs";

const NOW = 1000;
const TIMES = { delay: 200, minimum: 500 };

test("what is wanted is on after its delay", () => {
  const state = initialState();
  assert.deepEqual([advance(state, true, NOW, TIMES), state.isOn], [200, false]);
  assert.deepEqual([advance(state, true, NOW + 150, TIMES), state.isOn], [50, false]);
  assert.deepEqual([advance(state, true, NOW + 200, TIMES), state.isOn], [0, true]);
});

test("what is no longer wanted before its delay has passed never shows, and begins anew", () => {
  const state = initialState();
  advance(state, true, NOW, TIMES);
  assert.deepEqual([advance(state, false, NOW + 100, TIMES), state.isOn], [0, false]);
  assert.equal(advance(state, true, NOW + 199, TIMES), 200);
});

test("what is on stays on for its minimum time", () => {
  const state = initialState();
  advance(state, true, NOW, { delay: 0, minimum: 500 });
  assert.deepEqual([advance(state, false, NOW + 100, TIMES), state.isOn], [400, true]);
  assert.deepEqual([advance(state, false, NOW + 500, TIMES), state.isOn], [0, false]);
});

test("what is wanted again meanwhile stays on", () => {
  const state = initialState();
  advance(state, true, NOW, { delay: 0, minimum: 500 });
  advance(state, false, NOW + 100, TIMES);
  assert.deepEqual([advance(state, true, NOW + 200, TIMES), state.isOn, state.dueAt], [0, true, 0]);
  advance(state, false, NOW + 600, TIMES);
  assert.equal(state.isOn, false);
});

test("without times it is on and off at once", () => {
  const state = initialState();
  const none = { delay: 0, minimum: 0 };
  assert.deepEqual(
    [advance(state, true, NOW, none), state.isOn, advance(state, false, NOW, none), state.isOn],
    [0, true, 0, false],
  );
});

/** Make an element look as it does while it is on, and afterwards. */
function toggle(attributes, properties = {}) {
  const shown = Object.assign(element("button", attributes), properties);
  const state = initialState();
  show(shown);
  const set = (isOn) => {
    state.isOn = isOn;
    applyDirective(shown, state);
    return [shown.getAttribute("class"), shown.hasAttribute("disabled")];
  };
  return { shown, state, set };
}

test("classes are added, and those that it had are removed and come back", () => {
  const { set } = toggle({ class: "a b", "data-live-class": "c d", "data-live-remove-class": "b x" });
  assert.equal(set(true)[0], "a live-on c d");
  assert.equal(set(true)[0], "a live-on c d");
  assert.equal(set(false)[0], "a b");
  assert.equal(set(false)[0], "a b");
});

test("a class that a morph brought back is removed again, and comes back once", () => {
  const { shown, set } = toggle({ class: "b", "data-live-remove-class": "b" });
  set(true);
  shown.setAttribute("class", "b");
  assert.equal(set(true)[0], "live-on");
  assert.equal(set(false)[0], "b");
});

test("an element is disabled, and enabled again", () => {
  const { set } = toggle({ "data-live-disable": "" });
  assert.deepEqual([set(true)[1], set(true)[1], set(false)[1]], [true, true, false]);
});

test("one that was disabled before stays so", () => {
  const { set } = toggle({ "data-live-disable": "", disabled: "" });
  assert.deepEqual([set(true)[1], set(false)[1]], [true, true]);
});

test("one that is never on is not touched", () => {
  const { shown, set } = toggle({ "data-live-disable": "", disabled: "" });
  set(false);
  shown.removeAttribute("disabled");
  assert.equal(set(false)[1], false);
});

test("one without data-live-disable is not disabled", () => {
  assert.equal(toggle({ "data-live-show": "" }).set(true)[1], false);
});

test("the focus comes back unless the user has moved it", () => {
  const { shown, set } = toggle({ "data-live-disable": "" });
  const other = element("input");
  document.activeElement = shown;
  set(true);
  document.activeElement = document.body;
  set(false);
  assert.equal(document.activeElement, shown);
  set(true);
  document.activeElement = other;
  set(false);
  assert.equal(document.activeElement, other);
});

test("an element without the focus does not get it, then or later", () => {
  const { shown, set } = toggle({ "data-live-disable": "" });
  set(true);
  set(false);
  assert.equal(document.activeElement, document.body);
  document.activeElement = shown;
  set(true);
  document.activeElement = document.body;
  set(false);
  document.activeElement = document.body;
  set(true);
  set(false);
  assert.equal(document.activeElement, document.body);
});

/** The directives of a page with one element. */
function scene(attributes) {
  const shown = element("button", { "data-live-show": "", ...attributes });
  const client = testClient();
  const directives = new Directives(client);
  show(shown, element("p"));
  let wanted = true;
  const update = (now = wanted) => directives.update((one) => (assert.equal(one, shown), (wanted = now)));
  client.refresh = () => update();
  return { shown, directives, update, browser: client.browser, isOn: () => shown.classList.contains("live-on") };
}

test("a directive is applied when its delay has passed, and taken back after its minimum time", async () => {
  const { update, browser, isOn } = scene({ "data-live-delay": "200", "data-live-min": "500" });
  update(true);
  update(true);
  assert.deepEqual([isOn(), browser.waits], [false, [200]]);
  await browser.advance(200);
  assert.equal(isOn(), true);
  update(false);
  assert.deepEqual([isOn(), browser.waits], [true, [500]]);
  await browser.advance(500);
  assert.deepEqual([isOn(), browser.waits], [false, []]);
});

test("without attributes it is applied at once", () => {
  const { update, isOn } = scene({});
  update(true);
  assert.equal(isOn(), true);
  update(false);
  assert.equal(isOn(), false);
});

test("an element for which nothing was ever wanted is left alone", () => {
  const { shown, update } = scene({ class: "a" });
  update(false);
  assert.equal(shown.getAttribute("class"), "a");
});

test("a morph brings the server's classes and its disabled", () => {
  const { shown, directives, update } = scene({ class: "b", "data-live-disable": "", "data-live-remove-class": "b" });
  update(true);
  directives.beforeMorph(shown, element("button", { disabled: "" }));
  shown.setAttribute("class", "");
  update(true);
  update(false);
  assert.deepEqual([shown.getAttribute("class"), shown.hasAttribute("disabled")], ["", true]);
});

test("a morph of an element that is not disabled by us notes nothing", () => {
  const { shown, directives, update } = scene({ "data-live-disable": "", "data-live-delay": "200" });
  directives.beforeMorph(shown, element("button", { disabled: "" }));
  update(true);
  directives.beforeMorph(shown, element("button", { disabled: "" }));
  update(false);
  assert.equal(shown.hasAttribute("disabled"), false);
});

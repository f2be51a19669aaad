import assert from "node:assert/strict";
import test from "node:test";

import { Morph, isKept } from "../../static/htmx_live/src/morph.js";
import { testClient } from "./client.mjs";
import { element, show } from "./dom.mjs";

/** A text field as the server renders it, which holds `value`. */
const input = (name, defaultValue, value = defaultValue, attributes = {}) =>
  Object.assign(element("input", attributes), { name, type: "text", defaultValue, value });

const root = (...children) => element("div", { id: "live-a", "data-live": "grant", "data-live-rev": "5" }, ...children);

function scene(...children) {
  const target = root(...children);
  const client = testClient();
  const morph = new Morph(client);
  show(target);
  /** Morph `target` into a fragment with these elements, pair by pair, as htmx does. */
  const swap = (request, ...next) => {
    morph.begin(request);
    const fragment = root(...next);
    const kept = [];
    morph.beforeNode(target, fragment);
    for (const [index, old] of target.children.entries()) {
      if (!morph.beforeNode(old, next[index])) {
        kept.push(old);
        continue;
      }
      // htmx sets the value where the rendered one differs
      if (old.tag === "input" && old.defaultValue !== next[index].defaultValue) old.value = next[index].value;
      old.defaultValue = next[index].defaultValue;
    }
    morph.afterSwap(target);
    return kept;
  };
  return { target, client, morph, swap };
}

const body = (values) => ({ getAll: (name) => values[name] ?? [] });

test("what the user typed stays when a push renders the field anew", () => {
  const field = input("q", "old", "typed");
  const { swap } = scene(field);
  swap({}, input("q", "new"));
  assert.equal(field.value, "typed");
});

test("htmx sees no difference in a field where the user types, so the caret stays", () => {
  const field = input("q", "old", "typed");
  const { morph } = scene(field);
  const next = input("q", "new");
  morph.begin({});
  morph.beforeNode(document.body.children[0], root(next));
  morph.beforeNode(field, next);
  assert.equal(field.defaultValue, "new");
});

test("a field that the user left alone takes the server's value", () => {
  const field = input("q", "old");
  const { swap } = scene(field);
  swap({}, input("q", "new"));
  assert.equal(field.value, "new");
});

test("a field takes the answer to just what it sent, under its name or, without one, as the trigger", () => {
  const named = input("q", "", "typed");
  const unnamed = input("", "", "typed");
  const other = input("", "", "typed");
  const { swap } = scene(named, unnamed, other);
  swap(
    { trigger: unnamed, body: body({ q: ["typed"], value: ["typed"] }) },
    input("q", "new"),
    input("", "new"),
    input("", "new"),
  );
  assert.deepEqual(
    [named, unnamed, other].map(({ value }) => value),
    ["new", "new", "typed"],
  );
});

test("a value attribute of the answer clears what was sent", () => {
  const field = input("q", "", "typed", { value: "" });
  const { swap } = scene(field);
  swap({ body: body({ q: ["typed"] }) }, input("q", ""));
  assert.equal(field.value, "");
});

/** Swap the answer to an event that sent `sent`; `change` is what the morph does to the fields. */
function answerTo(sent, change, ...fields) {
  const { target, morph } = scene(...fields);
  morph.begin({ handler: "save", body: body(sent) });
  morph.beforeNode(target, root());
  change();
  morph.afterSwap(target);
}

test("a box is as the user left it, or as the answer changes it", () => {
  const box = (checked, defaultChecked) =>
    Object.assign(element("input"), { name: "c", type: "checkbox", value: "red", checked, defaultChecked });
  const [ticked, unticked, untouched] = [box(true, false), box(false, true), box(false, false)];
  answerTo({ c: ["red"] }, () => (untouched.defaultChecked = true), ticked, unticked, untouched);
  assert.deepEqual([ticked.checked, unticked.checked, untouched.checked], [true, false, true]);
});

test("a select takes the answer to the option that it sent, also if the morph has chosen another", () => {
  const options = ["a", "b", "c"].map((value) => ({ value, selected: value === "b", defaultSelected: value === "a" }));
  const select = Object.assign(element("select"), { name: "s", type: "select-one", options, value: "b" });
  const morph = () => {
    for (const one of options) one.selected = one.defaultSelected = one.value === "c";
    select.value = "c";
  };
  answerTo({ s: ["b"] }, morph, select);
  assert.deepEqual(
    options.map(({ selected }) => selected),
    [false, false, true],
  );
});

test("a select keeps what the user chose since, also if the morph has chosen what was sent", () => {
  const options = ["a", "b", "c"].map((value) => ({ value, selected: value === "b", defaultSelected: value === "a" }));
  const select = Object.assign(element("select"), { name: "s", type: "select-one", options, value: "b" });
  const morph = () => {
    for (const one of options) one.selected = one.defaultSelected = one.value === "c";
    select.value = "c";
  };
  answerTo({ s: ["c"] }, morph, select);
  assert.deepEqual(
    options.map(({ selected }) => selected),
    [false, true, false],
  );
});

test("a field that the user left alone is htmx's to change", () => {
  const field = input("q", "old");
  const { target, morph } = scene(field);
  morph.begin({});
  morph.beforeNode(target, root());
  morph.beforeNode(field, Object.assign(input("q", "new"), { parentElement: target }));
  assert.equal(field.defaultValue, "old");
});

test("forms that the answer resets lose what was typed, and their files", () => {
  const field = input("q", "old", "typed");
  const file = Object.assign(element("input", { type: "file" }), { value: "a.txt" });
  const { swap } = scene(field, file);
  swap({ resetsForms: true }, input("q", "old"), element("input"));
  assert.deepEqual([field.value, file.value], ["old", ""]);
});

test("other answers leave files alone", () => {
  const file = Object.assign(element("input", { type: "file" }), { value: "a.txt" });
  const { swap } = scene(file);
  swap({ handler: "save" }, element("input"));
  assert.equal(file.value, "a.txt");
});

test("what the user chose stays when another radio button of its group becomes the default", () => {
  let chosen = "a";
  const radio = (value, defaultChecked) =>
    Object.defineProperty(
      Object.assign(element("input"), { name: "r", type: "radio", value, defaultChecked }),
      "checked",
      { get: () => chosen === value, set: (checked) => checked && (chosen = value) },
    );
  const group = [radio("a", false), radio("b", true), radio("c", false)];
  const { target, morph } = scene(...group);
  morph.begin({});
  morph.beforeNode(target, root());
  group[2].defaultChecked = true;
  morph.afterSwap(target);
  assert.equal(chosen, "a");
});

test("autofocus gives the focus once", () => {
  const field = input("q", "", "", { autofocus: "" });
  const { swap } = scene(field);
  swap({}, input("q", ""));
  assert.equal(field.hasAttribute("autofocus"), false);
});

test("fields are noted for one swap", () => {
  const field = input("q", "old", "typed");
  const { target, morph, swap } = scene(field);
  swap({}, input("q", "old"));
  field.value = "later";
  morph.afterSwap(target);
  assert.equal(field.value, "later");
});

test("a foreign swap keeps nothing, and is no event of ours", () => {
  const field = input("q", "old", "typed");
  const { client, swap } = scene(field);
  swap(undefined, input("q", "new"));
  assert.deepEqual([field.value, client.calls, document.events], ["new", [["refresh"]], []]);
});

test("a swap of ours is told to the page", () => {
  const { client, swap } = scene();
  swap({});
  assert.deepEqual([client.called("refresh").length, document.events], [1, [["live:applied", { id: "live-a" }]]]);
});

test("texts and comments are morphed", () => {
  const { morph } = scene();
  morph.begin({});
  assert.deepEqual(
    [morph.beforeNode({}, element("p")), morph.beforeNode(element("p", { "data-live": "g" }), {})],
    [true, true],
  );
});

test("what is marked, another view's root, a CSRF field and a longer text are kept", () => {
  const child = (id, attributes = { "data-live": "g" }) => element("div", { id, ...attributes });
  const csrf = (name) => Object.assign(element("input"), { name });
  const stream = (at) => element("span", { "data-live-stream": "log", "data-live-offset": at });
  const marked = element("div", { "data-live-keep": "" });
  const cases = [
    [marked, element("div"), true],
    [child("live-b"), child("live-b"), true],
    [child("live-b"), child("live-c"), false],
    [child("live-b"), child("live-b", {}), false],
    [child("live-b", { "data-live": "" }), child("live-b"), false],
    [csrf("csrfmiddlewaretoken"), csrf("csrfmiddlewaretoken"), true],
    [csrf("csrfmiddlewaretoken"), csrf("q"), false],
    [csrf("q"), csrf("csrfmiddlewaretoken"), false],
    [stream("a1.5"), stream("a1.4"), true],
    [stream("a1.4"), stream("a1.5"), false],
    [element("span", { "data-live-offset": "a1.5" }), stream("a1.4"), false],
  ];
  assert.deepEqual(
    cases.map(([old, next]) => isKept(old, next, false)),
    cases.map(([, , expected]) => expected),
  );
});

test("the root of a fragment is morphed, marked or a view's own", () => {
  const own = element("div", { id: "live-a", "data-live": "g", "data-live-keep": "" });
  assert.equal(isKept(own, own, true), false);
});

test("what is kept is left out of the morph", () => {
  const map = element("div", { "data-live-keep": "" });
  const { swap, client } = scene(map, element("p"));
  assert.deepEqual(swap({}, element("div"), element("p")), [map]);
  assert.deepEqual(
    client.called("directives").map(([, { tag }]) => tag),
    ["div", "p"],
  );
});

const details = (open) => Object.assign(element("details"), { open });

test("details stay as the user left them until the server renders them differently", () => {
  const shown = details(false);
  const { target, morph, swap } = scene(shown);
  morph.noteOpenables(target);
  shown.open = true; // by the user
  morph.noteOpenables(target);
  swap({}, details(false));
  assert.equal(shown.open, true);
  swap({}, details(true));
  swap({}, details(false));
  assert.equal(shown.open, false);
  swap({}, details(true));
  assert.equal(shown.open, true);
});

test("details of which no render is known stay as they are", () => {
  const shown = details(false);
  const { swap } = scene(shown);
  swap({}, details(true));
  assert.equal(shown.open, false);
});

test("a dialog is closed as one, to leave the top layer", () => {
  const calls = [];
  const dialog = Object.assign(element("dialog"), { open: true, close: () => calls.push("close") });
  const { target, morph, swap } = scene(dialog);
  morph.noteOpenables(target);
  swap({}, details(false));
  swap({}, details(true));
  assert.deepEqual([calls, dialog.open], [["close"], true]);
});

test("the attribute open is not htmx's to change in a swap of ours", () => {
  const { morph } = scene();
  const asked = () =>
    [
      [details(), "open"],
      [details(), "class"],
      [element("p"), "open"],
    ].map((args) => morph.beforeAttribute(...args));
  assert.deepEqual(asked(), [true, true, true]);
  morph.begin({});
  assert.deepEqual(asked(), [false, true, true]);
});

test("an empty CSRF field gets the present token, another keeps its own", () => {
  const csrf = (value) =>
    Object.assign(element("input", { name: "csrfmiddlewaretoken" }), { name: "csrfmiddlewaretoken", value });
  const fields = [csrf(""), csrf("own")];
  const { swap } = scene(...fields);
  swap({}, csrf(""), csrf(""));
  assert.deepEqual(
    fields.map(({ value }) => value),
    ["token", "own"],
  );
});

test("an empty root has its parent asked for again", () => {
  const { target, client, swap } = scene(element("div", { "data-live": "" }));
  swap({}, element("div"));
  assert.deepEqual([target.dataset.liveRev, client.called("sync")], ["0", [["sync.request"]]]);
});

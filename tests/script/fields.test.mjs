import assert from "node:assert/strict";
import test from "node:test";

import { readRendered, readValue, takesRendered, writeValue } from "../../static/htmx_live/src/fields.js";

const option = (value, selected = false, defaultSelected = false) => ({ value, selected, defaultSelected });
const text = (value, defaultValue) => ({ type: "text", value, defaultValue });

test("a text field has its value, and the one that the server rendered", () => {
  const field = text("typed", "rendered");
  assert.deepEqual([readValue(field), readRendered(field)], ["typed", "rendered"]);
});

for (const type of ["checkbox", "radio"])
  test(`a ${type} is ticked or not`, () => {
    const field = { type, value: "red", checked: true, defaultChecked: false };
    assert.deepEqual([readValue(field), readRendered(field)], [true, false]);
  });

test("a select has its chosen options as lines", () => {
  const field = {
    type: "select-multiple",
    multiple: true,
    options: [option("a", true), option("b", false, true), option("c", true, true)],
  };
  assert.deepEqual([readValue(field), readRendered(field)], ["a\nc", "b\nc"]);
});

test("a select for which none was rendered as chosen shows its first, unless it allows several or has none", () => {
  const options = [option("a"), option("b", true)];
  assert.equal(readRendered({ type: "select-one", multiple: false, options }), "a");
  assert.equal(readRendered({ type: "select-multiple", multiple: true, options }), "");
  assert.equal(readRendered({ type: "select-one", multiple: false, options: [] }), "");
});

test("a chosen option is read, not the first", () => {
  assert.equal(
    readRendered({ type: "select-one", multiple: false, options: [option("a"), option("b", false, true)] }),
    "b",
  );
});

test("writing sets what reading reads", () => {
  const box = { type: "checkbox", checked: false };
  const field = text("a", "");
  const select = { type: "select-one", value: "kept", options: [option("a", true), option("b"), option("c")] };
  writeValue(box, true);
  writeValue(field, "b");
  writeValue(select, "b\nc");
  assert.deepEqual([readValue(box), readValue(field), readValue(select)], [true, "b", "b\nc"]);
  assert.equal(select.value, "kept"); // options only: setting the value of a select would choose one
});

test("options are chosen by their whole values", () => {
  const select = {
    type: "select-multiple",
    multiple: true,
    options: [option("red"), option("r", true), option("blue")],
  };
  writeValue(select, "red\nblue");
  assert.equal(readValue(select), "red\nblue");
});

test("an equal value is not written, because that would move the caret", () => {
  const field = Object.defineProperty({ type: "text" }, "value", { get: () => "a", set: () => assert.fail("written") });
  writeValue(field, "a");
});

// What the user typed, and what the server then renders.
const typed = { value: "typed", rendered: "old", newlyRendered: "old", hasValueAttribute: false };
const cases = [
  [
    "a field that the user left alone takes the server's value",
    { ...typed, value: "old", newlyRendered: "new" },
    [],
    false,
    true,
  ],
  ["what the user typed stays while a push is applied", { ...typed, newlyRendered: "new" }, [], false, false],
  ["what the answer resets is reset", typed, [], true, true],
  [
    "a field that still has what was sent takes a value that is new",
    { ...typed, newlyRendered: "new" },
    ["typed"],
    false,
    true,
  ],
  ["it keeps what was sent if the answer renders the same as before", typed, ["typed"], false, false],
  ["it takes any value attribute of the answer", { ...typed, hasValueAttribute: true }, ["typed"], false, true],
  [
    "what was typed after sending stays",
    { ...typed, newlyRendered: "new", hasValueAttribute: true },
    ["type"],
    false,
    false,
  ],
  ["one of several values under a name is enough", { ...typed, newlyRendered: "new" }, ["other", "typed"], false, true],
];
for (const [name, field, sent, resets, expected] of cases)
  test(name, () => assert.equal(takesRendered(field, sent, resets), expected));

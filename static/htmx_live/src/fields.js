// @ts-check
// Values of form fields: what the user sees, what the server rendered, and which of them stays after a morph.

const isBox = (/** @type {any} */ field) => /checkbox|radio/.test(field.type);

/** @param {any} field @param {"selected" | "defaultSelected"} property */
const optionsWith = (field, property) => [...field.options].filter((/** @type {any} */ option) => option[property]);

/** @param {any[]} options */
const joinValues = (options) => options.map((option) => option.value).join("\n");

/** Return what a field holds: a text, whether a box is ticked, or the chosen options as lines.
 * @param {any} field @returns {string | boolean} */
export function readValue(field) {
  if (isBox(field)) return field.checked;
  return field.options ? joinValues(optionsWith(field, "selected")) : field.value;
}

/** Return what the server rendered for a field, in the form of readValue().
 * @param {any} field @returns {string | boolean} */
export function readRendered(field) {
  if (isBox(field)) return field.defaultChecked;
  if (!field.options) return field.defaultValue;
  const chosen = optionsWith(field, "defaultSelected");
  // A select with no chosen option shows its first.
  return joinValues(chosen[0] || field.multiple ? chosen : [...field.options].slice(0, 1));
}

/** @param {any} field @param {string | boolean} value in the form of readValue() */
export function writeValue(field, value) {
  if (readValue(field) === value) return; // writing would move the caret
  if (typeof value === "boolean") field.checked = value;
  else if (!field.options) field.value = value;
  else {
    const chosen = value.split("\n");
    for (const option of field.options) option.selected = chosen.includes(option.value);
  }
}

/** Return whether a field takes what the server now renders, rather than keep what the user typed or chose.
 *
 * It does where the user changed nothing. Otherwise only while the answer to an event is applied: if that resets the
 * form, or if the field still holds just what the event sent and the answer has a value for it. A box has nothing to
 * decide: a tick that the user and then the server changed is the same for both.
 * @param {object} field
 * @param {string | boolean} field.value before the morph
 * @param {string | boolean} field.rendered before the morph
 * @param {string | boolean} field.newlyRendered
 * @param {boolean} field.hasValueAttribute
 * @param {(string | boolean)[]} sent the values that the event sent under the field's name
 * @param {boolean} [resetsForms] */
export function takesRendered({ value, rendered, newlyRendered, hasValueAttribute }, sent, resetsForms) {
  if (value === rendered || resetsForms) return true;
  return (newlyRendered !== rendered || hasValueAttribute) && sent.includes(value);
}

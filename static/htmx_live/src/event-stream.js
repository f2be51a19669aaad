// @ts-check
// The format of server-sent events, read from text that arrives in pieces.

/**
 * @typedef {object} StreamMessage
 * @property {string} event "" without a name
 * @property {string | null} data null: a heartbeat
 * @property {string | null} id null: the position stays
 */

export class EventStreamParser {
  #rest = "";
  #event = "";
  /** @type {string[]} */
  #data = [];
  /** @type {string | null} */
  #id = null;

  /** Return the messages that `text` completes. Pieces end anywhere, lines with CR, LF or both.
   * @param {string} text @returns {StreamMessage[]} */
  read(text) {
    /** @type {StreamMessage[]} */
    const messages = [];
    // A CR at the end may be half of a line end.
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() || "";
    for (const line of lines)
      if (line) this.#readField(line);
      else messages.push(this.#endMessage());
    return messages;
  }

  /** @param {string} line */
  #readField(line) {
    const [, name, value] = /** @type {RegExpExecArray} */ (/^([^:]*):? ?(.*)/s.exec(line));
    if (name === "event") this.#event = value;
    if (name === "data") this.#data.push(value);
    if (name === "id") this.#id = value;
  }

  #endMessage() {
    const message = { event: this.#event, data: this.#data.length ? this.#data.join("\n") : null, id: this.#id };
    this.#event = "";
    this.#data = [];
    this.#id = null;
    return message;
  }
}

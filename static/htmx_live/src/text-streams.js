// @ts-check
// Text streams: text that grows at the end. An offset counts characters (code points) of one generation, which begins
// anew when the server clears the text.

import { emit } from "./dom.js";

const APPEND = "live:append";

/** Read data-live-offset. @returns {[string, number]} the generation and the length of the text */
export function position(at = "") {
  const [generation, offset] = at.split(".");
  return [generation, Number(offset)];
}

/** Return whether an element's text is as long as, or longer than, that of a fragment.
 * @param {string} [mine] @param {string} [theirs] data-live-offset of both */
export function covers(mine, theirs) {
  const [generation, offset] = position(mine);
  const [other, least] = position(theirs);
  return generation === other && offset >= least;
}

/** Decide what a message adds to a text. Return null if something before it is missing.
 * @param {string | undefined} at data-live-offset of the element
 * @param {{generation: string, offset: number, text: string}} message
 * @returns {{clears: boolean, tail: string, at: string} | null} */
export function extend(at, { generation, offset, text }) {
  const [mine, length] = position(at);
  const clears = generation !== mine;
  const known = clears ? 0 : length;
  if (offset > known) return null;
  const characters = [...text];
  const tail = characters.slice(known - offset).join("");
  return { clears, tail, at: `${generation}.${Math.max(known, offset + characters.length)}` };
}

export class TextStreams {
  #client;

  /** @param {Pick<import("./client.js").Client, "sync">} client */
  constructor(client) {
    this.#client = client;
  }

  /** @param {{target: string, generation: string, offset: number, text: string}} message */
  append(message) {
    const element = document.getElementById(message.target);
    if (!element) return;
    const change = extend(element.dataset.liveOffset, message);
    if (!change) return this.#client.sync.request();
    if (change.clears) element.textContent = "";
    const last = /** @type {any} */ (element.lastChild);
    if (change.tail) last?.appendData ? last.appendData(change.tail) : element.append(change.tail);
    element.dataset.liveOffset = change.at;
    emit(APPEND, { id: message.target, text: change.tail }, element);
  }
}

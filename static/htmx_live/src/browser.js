// @ts-check
// What the script takes from the browser besides the DOM, in one object: the tests in Node pass an object of their own,
// with a clock that stands still.

export const browser = {
  /** Milliseconds. */
  now: () => Date.now(),
  /** At least 0, less than 1. */
  random: () => Math.random(),
  /** @param {number} count */
  randomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
  /** @param {() => void} run @param {number} ms @returns {any} */
  setTimeout: (run, ms) => setTimeout(run, ms),
  /** @param {any} id */
  clearTimeout: (id) => clearTimeout(id),
  /** Return a signal that ends a request after `ms`. @param {number} ms */
  abortAfter: (ms) => AbortSignal.timeout(ms),
  /** @param {string} url @param {any} init */
  fetch: (url, init) => fetch(url, init),
  /** Load a module that only some pages need. @param {string} url @returns {Promise<any>} */
  load: (url) => import(url),
  /** @param {string | URL} url */
  navigate: (url) => location.assign(url),
  isHidden: () => document.hidden,
  isOnline: () => navigator.onLine,
};

/** @typedef {typeof browser} Browser */

/** One timer: starting it again replaces the earlier start. */
export class Timer {
  #browser;
  /** @type {any} */
  #id;

  /** @param {Pick<Browser, "setTimeout" | "clearTimeout">} browser */
  constructor(browser) {
    this.#browser = browser;
  }

  /** @param {number} ms @param {() => void} run */
  start(ms, run) {
    this.stop();
    this.#id = this.#browser.setTimeout(run, ms);
  }

  stop() {
    this.#browser.clearTimeout(this.#id);
  }
}

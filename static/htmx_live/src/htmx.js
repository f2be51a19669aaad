// @ts-check
// What the script asks of htmx 4. A page may do without it, or have htmx 2: then isReady stays false.

/** @typedef {import("./requests.js").LiveRequest} LiveRequest */

/** @returns {any} */
const library = () => /** @type {any} */ (window).htmx;

export class Htmx {
  #source;
  /** @type {any} the functions that htmx gives to extensions */
  #internals = null;

  /** @param {HTMLElement} source the element that requests and swaps of the script belong to */
  constructor(source) {
    this.#source = source;
  }

  get isReady() {
    return !!this.#internals;
  }

  /** Register the extension, as soon as htmx is there. @param {object} extension */
  register(extension) {
    if (!this.isReady) library()?.registerExtension?.("htmx-live", extension);
  }

  /** @param {any} internals */
  connect(internals) {
    this.#internals = internals;
  }

  #context(/** @type {LiveRequest} */ live) {
    return { source: this.#source, target: document.documentElement, swap: "none", live };
  }

  /** Send a request whose answer brings its own targets. @param {LiveRequest} request */
  post(request) {
    library().ajax("POST", request.url, this.#context(request));
  }

  /** Swap partials that no request asked for. @param {string} text @returns {Promise<void>} */
  swap(text) {
    const { source, ...context } = this.#context({});
    return library().swap({ ...context, sourceElement: source, text });
  }

  /** Carry out one of the tasks that htmx had planned. @param {any} task */
  insert(task) {
    this.#internals.insertContent(task);
  }

  /** @param {Element} element @param {string} name */
  hasAttribute(element, name) {
    return !!this.#internals.attributeValue(element, name);
  }

  /** @param {any} context of a request */
  stopTimeout(context) {
    clearTimeout(context.requestTimeout);
  }

  /** Start the time limit of a request anew. @param {any} context */
  restartTimeout(context) {
    const limit = library().parseInterval(context.request.timeout ?? library().config.defaultTimeout);
    this.stopTimeout(context);
    context.requestTimeout = setTimeout(() => context.request.abort("timeout"), limit);
  }
}

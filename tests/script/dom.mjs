// A page in memory: just the part of the DOM that the modules with decisions use. What real elements do is for the tests
// in Chromium.

const attributeName = (property) => "data-" + property.replace(/[A-Z]/g, (letter) => "-" + letter.toLowerCase());

/** One compound selector: a tag, classes, an id, attributes, :not(). */
function matchesCompound(element, selector) {
  const part =
    /^(?:\[([\w-]+)(?:(~?=)["']?([^\]"']*)["']?)?\]|:not\(([^)]*)\)|\.([\w-]+)|#([\w-]+)|:([\w-]+)|([\w-]+))/;
  while (selector) {
    const [whole, name, how, value, not, className, id, state, tag] = part.exec(selector);
    const actual = name && element.getAttribute(name);
    const fits = name
      ? actual != null && (!how || (how === "=" ? actual === value : actual.split(" ").includes(value)))
      : not
        ? !element.matches(not)
        : className
          ? element.classList.contains(className)
          : id
            ? element.id === id
            : state
              ? element.states.has(state)
              : element.tag === tag;
    if (!fits) return false;
    selector = selector.slice(whole.length);
  }
  return true;
}

class Node extends EventTarget {
  children = [];
  parentElement = null;

  get isConnected() {
    return this === document || !!this.parentElement?.isConnected;
  }

  append(...nodes) {
    for (const node of nodes) {
      if (!(node instanceof Node)) {
        this.text += node;
        continue;
      }
      node.remove();
      node.parentElement = this;
      this.children.push(node);
    }
  }

  appendChild(node) {
    this.append(node);
    return node;
  }

  remove() {
    if (!this.parentElement) return;
    this.parentElement.children = this.parentElement.children.filter((child) => child !== this);
    this.parentElement = null;
  }

  querySelectorAll(selector) {
    return this.children.flatMap((child) => [
      ...(child.matches(selector) ? [child] : []),
      ...child.querySelectorAll(selector),
    ]);
  }

  querySelector(selector) {
    return this.querySelectorAll(selector)[0] ?? null;
  }

  dispatchEvent(event) {
    document.events.push([event.type, event.detail]);
    return super.dispatchEvent(event);
  }
}

class Element extends Node {
  attributes = new Map();
  states = new Set(); // pseudo-classes
  text = "";
  dataset = new Proxy(this, {
    get: (element, property) => element.getAttribute(attributeName(property)) ?? undefined,
    set: (element, property, value) => (element.setAttribute(attributeName(property), value), true),
    deleteProperty: (element, property) => (element.attributes.delete(attributeName(property)), true),
    ownKeys: (element) =>
      [...element.attributes.keys()]
        .filter((name) => name.startsWith("data-"))
        .map((name) => name.slice(5).replace(/-(\w)/g, (_, letter) => letter.toUpperCase())),
    getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }),
  });

  constructor(tag) {
    super();
    this.tag = tag;
  }

  get id() {
    return this.getAttribute("id") ?? "";
  }

  set id(value) {
    this.setAttribute("id", value);
  }

  get textContent() {
    return this.text + this.children.map((child) => child.textContent).join("");
  }

  set textContent(value) {
    this.children = [];
    this.text = value;
  }

  get lastChild() {
    return this.text ? { appendData: (more) => (this.text += more) } : null;
  }

  get firstElementChild() {
    return this.children[0] ?? null;
  }

  get classList() {
    const names = () => new Set((this.getAttribute("class") ?? "").split(" ").filter(Boolean));
    const change = (how, all) => {
      const set = names();
      for (const name of all) set[how](name);
      this.setAttribute("class", [...set].join(" "));
    };
    return {
      contains: (name) => names().has(name),
      add: (...all) => change("add", all),
      remove: (...all) => change("delete", all),
      toggle: (name, on) => change(on ? "add" : "delete", [name]),
    };
  }

  getAttribute(name) {
    return this.attributes.get(name) ?? null;
  }

  setAttribute(name, value) {
    this.attributes.set(name, String(value));
  }

  hasAttribute(name) {
    return this.attributes.has(name);
  }

  removeAttribute(name) {
    this.attributes.delete(name);
  }

  toggleAttribute(name, on) {
    if (on) this.setAttribute(name, "");
    else this.removeAttribute(name);
  }

  matches(selector) {
    if (!selector) throw new SyntaxError("The selector is empty.");
    return selector.split(/,(?![^(]*\))/).some((one) => matchesCompound(this, one));
  }

  closest(selector) {
    return this.matches(selector) ? this : (this.parentElement?.closest?.(selector) ?? null);
  }

  cloneNode() {
    return element(
      this.tag,
      Object.fromEntries(this.attributes),
      this.text,
      ...this.children.map((child) => child.cloneNode()),
    );
  }

  focus() {
    document.activeElement = this;
  }
}

/** Make an element with attributes, or with other properties where their names are not those of attributes. */
export function element(tag, attributes = {}, ...children) {
  const made = new Element(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "string") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

/** Replace the page. */
export function show(...children) {
  document = new Node();
  const body = element("body", {}, ...children);
  Object.assign(document, {
    body,
    events: [], // all that were dispatched, [type, detail]
    activeElement: body,
    baseURI: "https://example.org/page/",
    cookie: "",
    documentElement: element("html"),
    createElement: (tag) => element(tag),
    getElementById: (id) => (id ? document.querySelector(`#${id}`) : null),
  });
  document.append(body);
  globalThis.document = document;
  return body;
}

/** Have the page opened by a "navigate", a "reload" or "back_forward"; "" where the browser does not say. */
export function openBy(type) {
  const performance = { getEntriesByType: () => (type ? [{ type }] : []) };
  Object.defineProperty(globalThis, "performance", { value: performance, configurable: true });
}

/** Give the tab an empty storage, and return what it holds. */
export function openTab() {
  const values = new Map();
  globalThis.sessionStorage = {
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => values.set(key, value),
  };
  return values;
}

let document;
globalThis.CustomEvent ??= class extends Event {
  constructor(type, { detail = null, ...options } = {}) {
    super(type, options);
    this.detail = detail;
  }
};
globalThis.CSS ??= { escape: (text) => text };
globalThis.location ??= new URL("https://example.org/page/?q=1");
globalThis.window ??= globalThis;
show();

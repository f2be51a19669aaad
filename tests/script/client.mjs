// What the tests give to a part of the script in place of the others: a browser whose clock stands still, and parts that
// record what they are asked for.

/** A browser in which time passes by `advance()` only. Answers are those that a test puts into `answers`. */
export class TestBrowser {
  time = 1_000_000;
  hidden = false;
  online = true;
  randomNumber = 0;
  /** @type {{url: string, init: any}[]} */
  requests = [];
  answers = [];
  modules = {};
  visited = [];
  #timers = new Map();
  #lastId = 0;
  #lastByte = 0;

  now = () => this.time;
  random = () => this.randomNumber;
  randomBytes = (count) => new Uint8Array(count).fill(++this.#lastByte);
  abortAfter = (ms) => `abort after ${ms} ms`;
  isHidden = () => this.hidden;
  isOnline = () => this.online;
  navigate = (url) => this.visited.push(url);
  load = async (url) => this.modules[url] ?? Promise.reject(new Error(`No module ${url}`));
  clearTimeout = (id) => this.#timers.delete(id);

  setTimeout = (run, ms) => {
    this.#timers.set(++this.#lastId, { run, at: this.time + ms });
    return this.#lastId;
  };

  fetch = async (url, init) => {
    this.requests.push({ url, init });
    const answer = this.answers.shift();
    if (answer instanceof Error) throw answer;
    return (
      answer ?? new Promise((_, reject) => init.signal.addEventListener?.("abort", () => reject(new Error("aborted"))))
    );
  };

  /** Milliseconds until each timer, the next one first. */
  get waits() {
    return [...this.#timers.values()].map(({ at }) => at - this.time).sort((a, b) => a - b);
  }

  /** Let time pass, and run what is due in between in its order. */
  async advance(ms) {
    const end = this.time + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      const [id, { run, at }] = due;
      this.#timers.delete(id);
      this.time = at;
      run();
      await settled();
    }
    this.time = end;
    await settled();
  }
}

/** Wait until promises that need nothing from outside have had their turn. */
export async function settled() {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
  await new Promise((resolve) => setImmediate(resolve));
}

/** An answer of the server. */
export function answer(status = 200, headers = {}, text = "") {
  return new Response([204, 205, 304].includes(status) ? null : text, { status, headers });
}

/** A client whose other parts write what they are asked for into `calls`, as "part.method" and arguments. */
export function testClient(parts = {}) {
  const calls = [];
  const recorder = (name, values = {}) =>
    new Proxy(values, {
      get: (target, method) =>
        method in target ? target[method] : (...args) => void calls.push([`${name}.${String(method)}`, ...args]),
    });
  const client = {
    calls,
    browser: new TestBrowser(),
    page: {
      page: "grant",
      number: "e.1",
      csrf: "token",
      url: "/live/",
      plain: "plain.js",
      progress: "progress.js",
      upload: "upload.js",
      heartbeat: "15",
      poll: "3",
      hiddenClose: "60",
      groups: "card",
    },
    refresh: () => void calls.push(["refresh"]),
    connection: recorder("connection", { isConnected: false, isStopped: false, isWithoutStreams: false }),
    directives: recorder("directives"),
    fragments: recorder("fragments", { rootOf: (id) => document.getElementById(id) }),
    htmx: recorder("htmx", { isReady: true }),
    loading: recorder("loading"),
    messages: recorder("messages"),
    morph: recorder("morph"),
    pageChanges: recorder("pageChanges"),
    polling: recorder("polling", { idlePolls: 0 }),
    queue: recorder("queue"),
    reachability: recorder("reachability", { hasAnswered: false, isOffline: false }),
    requests: recorder("requests"),
    responses: recorder("responses"),
    sync: recorder("sync", { isAnswered: true, running: null, reattached: async () => {} }),
    textStreams: recorder("textStreams"),
    toasts: recorder("toasts"),
    ...parts,
  };
  /** What was asked for, of all parts or of one. */
  client.called = (name = "") => calls.filter(([call]) => call.startsWith(name));
  return client;
}

// @ts-check
// htmx-live: what htmx 4 and attributes cannot do for a live view. The wire is described in docs/wire.md.
// htmx makes the requests and the swaps. This extension adds loading state, an order of events per view, the
// stream with its catch-up, and morphs that keep what the user typed.
(() => {
  /** @typedef {{root: string, handler: string, key?: string, name?: string, trigger?: HTMLElement, args?: string,
   *   typing?: boolean, go?: () => void, skip?: boolean, sent?: boolean, answered?: boolean, aborted?: boolean,
   *   action?: string, body?: any, headers?: Record<string, string>, reset?: boolean}} Flight  one event of a user */
  const doc = document, html = doc.documentElement, win = /** @type {any} */ (window);
  const ROOT = "[data-live]", TRIGGER = "[data-live-event]", CSRF = "csrfmiddlewaretoken";
  const DIRECTIVE = ["show", "hide", "disable", "class", "remove-class"].map((name) => `[data-live-${name}]`).join();
  const FIELD = "input:not([type=file]),textarea,select", OPENS = "details,dialog";
  const SIGNED_OUT = [401, 403, 404, 410], SECOND = 1000;

  const meta = /** @type {HTMLElement} */ (doc.querySelector("meta[name=htmx-live]"));
  if (!meta || win.htmxLive) return;
  const page = meta.dataset; // url, page, number, csrf, heartbeat, poll, hiddenClose, groups

  /** Everything that this script remembers; the rest is in the DOM. */
  const state = {
    flights: /** @type {Set<Flight>} */ (new Set()), // events between click and end, oldest first
    started: /** @type {Set<string>} */ (new Set()), // names given to htmxLive.loading.start
    held: /** @type {{task: any, until: number}[]} */ ([]), // pushes for views with an event in flight
    applying: /** @type {any} */ (null), // the flight, or {}, whose partials are being swapped; null: not ours
    moved: /** @type {Map<string, string>} */ (new Map()), // id of a root -> id of the root that adopted its place
    adopt: /** @type {string[]} */ ([]), // grants that the page before this one kept
    stream: /** @type {AbortController | null} */ (null),
    up: false, // the stream said hello
    polling: false, // the server has no streams
    stopped: false, // the grant is no longer good, or the user may not read
    asleep: false, // hidden for long
    leaving: false,
    offline: false, // the user is told so
    everything: false, // the next sync asks for everything
    heartbeat: +(page.heartbeat || 15),
    fed: 0, // when the stream's last byte came, in ms
    tries: 0, // attempts since the last hello
    idle: 0, // polls in a row that brought nothing
  };

  /** @type {any} */ let api; // htmx's inside, given to extensions
  /** @param {string} id */
  const rootOf = (id) => doc.getElementById(state.moved.get(id) || id);
  /** @param {Element} elt */
  const rootId = (elt) => elt.closest(ROOT)?.id || "";
  /** @param {string | undefined | null} words */
  const split = (words) => (words || "").split(/\s+/).filter(Boolean);
  /** @param {string} name @param {object} [detail] @param {Element} [elt] */
  const emit = (name, detail, elt) =>
    (elt?.isConnected ? elt : doc).dispatchEvent(
      new CustomEvent("live:" + name, { detail, bubbles: true, cancelable: true }));

  // ---- Loading: a function of the events in flight and of data-live-pending, nothing else

  /** @returns {Flight[]} */
  function activities() {
    const found = [...state.flights];
    for (const root of /** @type {NodeListOf<HTMLElement>} */ (doc.querySelectorAll("[data-live-pending]")))
      for (const word of split(root.dataset.livePending)) {
        const [handler, name, key] = word.split(":").map(decodeURIComponent);
        found.push({ root: root.id, handler, name, key });
      }
    for (const handler of state.started) found.push({ root: "*", handler });
    return found;
  }

  /** @param {Flight} one @param {string} name @param {string} root @param {string} [key] */
  const isFor = (one, name, root, key) =>
    (root === "*" || one.root === "*" || one.root === root) &&
    (one.handler === name || one.name === name) && (key == null || one.key === key);

  /** A request belongs to its element, or to the equal one that a swap put in its place; a job to its handler.
   * @param {HTMLElement} elt @param {Flight[]} active */
  function isBusy(elt, active) {
    const { liveEvent, liveKey, liveArgs } = elt.dataset;
    return active.some((one) => one.trigger?.isConnected ? one.trigger === elt
      : isFor(one, liveEvent || "", rootId(elt), liveKey) && (!one.trigger || one.args === liveArgs));
  }

  /** @param {HTMLElement} elt @param {Flight[]} active */
  function isWanted(elt, active) {
    const { liveFor, liveKey } = elt.dataset;
    if (liveFor != null)
      return split(liveFor).some((word) => active.some((one) => word.startsWith("*:")
        ? isFor(one, word.slice(2), "*", liveKey) : isFor(one, word, rootId(elt), liveKey)));
    const trigger = /** @type {HTMLElement} */ (elt.closest(TRIGGER));
    if (trigger) return isBusy(trigger, active);
    const groups = split(page.groups).map((name) => "." + CSS.escape(name)).join();
    const group = groups && elt.closest(groups);
    return !!group && [.../** @type {any} */ (group.querySelectorAll(TRIGGER))].some((one) => isBusy(one, active));
  }

  /** What a directive did to its element. @typedef {{on: boolean, since: number, due: number, timer?: any,
   *   removed: string[], was?: boolean, focused?: boolean}} Look */
  /** @type {WeakMap<Element, Look>} */
  const looks = new WeakMap();

  /** Turns a directive on or off at `now`, or later where data-live-delay or data-live-min says so.
   * @param {HTMLElement} elt @param {boolean} wanted @param {number} now */
  function turn(elt, wanted, now) {
    let look = looks.get(elt);
    if (!look && !wanted) return;
    if (!look) looks.set(elt, (look = { on: false, since: 0, due: 0, removed: [] }));
    if (wanted === look.on) look.due = 0;
    else {
      look.due ||= wanted ? now + +(elt.dataset.liveDelay || 0) : Math.max(now, look.since + +(elt.dataset.liveMin || 0));
      clearTimeout(look.timer);
      if (look.due > now) look.timer = setTimeout(paint, look.due - now);
      else Object.assign(look, { on: wanted, due: 0, since: now });
    }
    show(elt, look);
  }

  /** Puts the element's look on it, again after every morph. @param {any} elt @param {Look} look */
  function show(elt, look) {
    const { on } = look, { liveClass, liveRemoveClass, liveDisable } = elt.dataset, classes = elt.classList;
    classes.toggle("live-on", on);
    for (const name of split(liveClass)) classes.toggle(name, on);
    for (const name of on ? split(liveRemoveClass) : look.removed.splice(0))
      if (!on) classes.add(name);
      else if (classes.contains(name)) classes.remove(name), look.removed.push(name);
    if (liveDisable == null) return;
    if (on) {
      look.was ??= elt.hasAttribute("disabled");
      look.focused ||= elt === doc.activeElement; // a disabled element loses the focus
      elt.toggleAttribute("disabled", true);
    } else if (look.was != null) {
      elt.toggleAttribute("disabled", look.was);
      if (look.focused && doc.activeElement === doc.body) elt.focus({ preventScroll: true });
      look.was = look.focused = undefined;
    }
  }

  function paint() {
    const active = activities(), now = Date.now(), body = doc.body;
    body.classList.toggle("live-loading", active.length > 0);
    body.classList.toggle("live-offline", state.offline);
    for (const elt of /** @type {NodeListOf<HTMLElement>} */ (doc.querySelectorAll(TRIGGER))) {
      const busy = isBusy(elt, active);
      if (busy === elt.classList.contains("live-busy")) continue;
      elt.classList.toggle("live-busy", busy);
      busy ? elt.setAttribute("aria-busy", "true") : elt.removeAttribute("aria-busy");
    }
    for (const elt of /** @type {NodeListOf<HTMLElement>} */ (doc.querySelectorAll(DIRECTIVE)))
      turn(elt, isWanted(elt, active), now);
  }

  // ---- Events: one at a time per view, in the order of the clicks, bound to the view's id
  // htmx's own queue drops a third click and loses what waits for a trigger that is swapped away. So every event gets
  // a queue of its own there, and its fetch waits here until the flights before it for the same root have ended.

  /** @param {string} root */
  const firstOf = (root) => [...state.flights].find((one) => one.root === root);

  /** @param {any} elt @param {Event | undefined} cause @param {any} request @returns {Flight} */
  function flightOf(elt, cause, { body }) {
    const { liveEvent = "", liveKey, liveArgs } = elt.dataset;
    if (liveArgs) body.set("_args", liveArgs);
    if (!elt.name && elt.matches("input,select,textarea,button[value]"))
      body.set("value", elt.type === "checkbox" ? elt.checked : elt.value);
    return { root: rootId(elt), handler: liveEvent, key: liveKey, trigger: elt, args: liveArgs,
      typing: /^(input|key)/.test(cause?.type || ""),
      headers: { "X-Live": elt.closest(ROOT)?.dataset.live || "", "X-Live-Nonce": nonce() } };
  }

  const nonce = () =>
    [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

  /** Stands in for fetch. @param {Flight} flight @param {string} url @param {any} init @param {any} ctx */
  async function fly(flight, url, init, ctx) {
    clearTimeout(ctx.requestTimeout);
    if (flight.typing)
      for (const one of state.flights)
        if (one.go && one.typing && one.trigger === flight.trigger) (one.skip = true), one.go();
    init.signal.addEventListener("abort", () => flight.go?.());
    if (firstOf(flight.root) !== flight) await new Promise((go) => (flight.go = () => go(0)));
    flight.go = undefined;
    if (flight.skip) return new Response(null, { status: 204 }); // a newer one of the same control is waiting
    ctx.requestTimeout = setTimeout(() => ctx.request.abort("timeout"),
      win.htmx.parseInterval(ctx.request.timeout ?? win.htmx.config.defaultTimeout));
    const root = rootOf(flight.root)?.dataset, grant = root?.live || flight.headers?.["X-Live"];
    flight.action ||= url;
    flight.body ||= init.body;
    flight.sent = !init.signal.aborted;
    return fetch(flight.action, { ...init, body: flight.body, headers: {
      ...init.headers, ...flight.headers, "X-Live": grant, "X-Live-Rev": root?.liveRev || "0", "X-CSRFToken": page.csrf } });
  }

  /** @param {Flight} flight */
  function land(flight) {
    state.flights.delete(flight);
    firstOf(flight.root)?.go?.();
    if (flight.sent && !flight.answered && !state.leaving) {
      sync();
      if (!flight.aborted) tell("none", flight);
    }
    release();
    paint();
  }

  /** Sends the event again: the same nonce if nobody knows whether it ran. @param {Flight} flight */
  function resend(flight) {
    const headers = { ...flight.headers, ...(flight.answered && { "X-Live-Nonce": nonce() }) };
    const live = { ...flight, headers, sent: false, answered: false, go: undefined };
    win.htmx.ajax("POST", flight.action, { source: meta, target: html, swap: "none", live });
  }

  // ---- Morphs: what the user typed, chose and opened stays, unless the answer to just that says otherwise

  /** The control's value now, or the one that the server rendered. @param {any} elt @param {boolean} [rendered] */
  function read(elt, rendered) {
    if (elt.options) {
      let chosen = [...elt.options].filter((one) => (rendered ? one.defaultSelected : one.selected));
      if (rendered && !chosen.length && !elt.multiple) chosen = [...elt.options].slice(0, 1);
      return chosen.map((one) => one.value).join("\n");
    }
    if (/checkbox|radio/.test(elt.type)) return rendered ? elt.defaultChecked : elt.checked;
    return rendered ? elt.defaultValue : elt.value;
  }

  /** @param {any} elt @param {any} value */
  function write(elt, value) {
    if (read(elt) === value) return;
    if (elt.options) for (const one of elt.options) one.selected = value.split("\n").includes(one.value);
    else elt[typeof value === "boolean" ? "checked" : "value"] = value;
  }

  /** @type {Map<any, {was: any, rendered: any}>} controls before the morph that is going on */
  const before = new Map();
  /** @type {WeakMap<Element, boolean>} `open` as the server rendered it */
  const served = new WeakMap();

  /** Whether the control shows just what `applying` sent. @param {any} elt @param {any} was */
  function wasSent(elt, was) {
    const { body, trigger } = state.applying;
    const name = elt.name || (elt === trigger && "value");
    return !!body && !!name && (was === true ? body.has(name) : was !== false && body.getAll(name).join("\n") === was);
  }

  /** @param {Element} target */
  function settle(target) {
    const kept = [];
    for (const [elt, { was, rendered }] of before) {
      const now = read(elt, true);
      const given = now !== rendered || (elt.options ? elt.querySelector("[selected]") : now && now !== true)
        || elt.matches("input[value]:not([type=checkbox],[type=radio])");
      if (was === rendered || state.applying.reset || (given && wasSent(elt, was))) write(elt, now);
      else kept.push([elt, was]);
    }
    for (const [elt, was] of kept) write(elt, was); // last, or a radio button's new default would win
    before.clear();
    for (const elt of /** @type {NodeListOf<HTMLInputElement>} */ (target.querySelectorAll(`input[name=${CSRF}]`)))
      elt.value ||= page.csrf || "";
    paint();
    emit("applied", { id: target.id }, target);
  }

  /** False where the old node stays as it is. @param {any} old @param {any} next */
  function morphs(old, next) {
    const { dataset } = old;
    if (!next.parentElement) for (const elt of [old, ...old.querySelectorAll(FIELD)])
      elt.matches(FIELD) && before.set(elt, { was: read(elt), rendered: read(elt, true) });
    if ((next.parentElement && next.dataset.live != null && next.id === old.id) || dataset.liveKeep != null) return false;
    if (old.name === CSRF && next.name === CSRF) return false;
    if (dataset.liveStream && covers(dataset.liveAt, next.dataset.liveAt)) return false;
    const look = looks.get(old), field = before.get(old);
    if (look) (look.was = look.was == null ? look.was : next.hasAttribute("disabled")), (look.removed = []);
    if (field && field.was !== field.rendered && typeof field.was === "string" && !old.options)
      old.defaultValue = next.defaultValue; // so htmx sees no difference and leaves value, caret and composition
    if (old.matches(OPENS)) {
      const changed = served.has(old) && served.get(old) !== next.open;
      served.set(old, next.open);
      if (changed) !next.open && old.close ? old.close() : (old.open = next.open);
    }
  }

  // ---- Partials: stale ones are dropped, pushes wait for the answer of a click on the same view (at most 2 s)

  /** @param {any} target @param {any} root */
  const isStale = (target, root) => target?.id === root?.id && +root?.dataset?.liveRev <= +target?.dataset?.liveRev;

  /** @param {any} ctx @param {any[]} tasks */
  function sift(ctx, tasks) {
    state.applying = ctx.live || null;
    for (const task of [...tasks]) {
      const root = task.fragment?.firstElementChild, { target } = task;
      const drop = () => tasks.splice(tasks.indexOf(task), 1);
      if (root?.dataset?.live == null || !target?.matches?.(ROOT)) continue;
      if (isStale(target, root)) drop();
      else if (ctx.live && !ctx.live.root && firstOf(target.id)) {
        drop();
        state.held.push({ task, until: Date.now() + 2 * SECOND });
        setTimeout(release, 2 * SECOND);
      } else if (root.id !== target.id) state.moved.set(target.id, root.id);
    }
  }

  function release() {
    for (const one of [...state.held]) {
      const { task, until } = one, target = rootOf(task.target.id);
      if (target && firstOf(target.id) && Date.now() < until) continue;
      state.held.splice(state.held.indexOf(one), 1);
      if (!target || isStale(target, task.fragment.firstElementChild)) continue;
      state.applying = {};
      api.insertContent({ ...task, target });
    }
  }

  /** @param {string} text partials from the stream or from sync */
  function apply(text) {
    if (api) return win.htmx.swap({ text, sourceElement: meta, target: html, swap: "none", live: {} });
    const holder = doc.createElement("template"); // no htmx 4 here: replace
    holder.innerHTML = text.replace(/<(\/?)hx-partial/g, "<$1template");
    for (const one of holder.content.querySelectorAll("template")) {
      const target = doc.querySelector(one.getAttribute("hx-target") || "_"), swap = one.getAttribute("hx-swap") || "";
      if (!target) continue;
      if (swap === "delete") target.remove();
      else if (swap === "beforeend") target.append(one.content);
      else if (swap === "afterbegin") target.prepend(one.content);
      else if (swap.startsWith("outer")) target.replaceWith(one.content);
      else target.replaceChildren(one.content);
      emit("applied", { id: target.id }, target);
    }
    paint();
  }

  /** @param {string | undefined} at GENERATION.OFFSET @returns {[string, number]} */
  function position(at = "") {
    const dot = at.lastIndexOf(".");
    return [at.slice(0, dot), +at.slice(dot + 1)];
  }

  /** Whether text at `mine` contains all of the text at `theirs`. @param {string} [mine] @param {string} [theirs] */
  function covers(mine, theirs) {
    const [generation, offset] = position(mine), [other, least] = position(theirs);
    return generation === other && offset >= least;
  }

  /** @param {{target: string, generation: string, offset: number, text: string}} message */
  function append({ target, generation, offset, text }) {
    const elt = doc.getElementById(target), points = [...text];
    if (!elt) return;
    let [mine, length] = position(elt.dataset.liveAt);
    if (generation !== mine && !offset) (elt.textContent = ""), (mine = generation), (length = 0);
    if (generation !== mine || offset > length) return sync();
    const tail = points.slice(length - offset).join("");
    if (tail) elt.lastChild?.nodeType === 3 ? /** @type {Text} */ (elt.lastChild).appendData(tail) : elt.append(tail);
    elt.dataset.liveAt = `${generation}.${Math.max(length, offset + points.length)}`;
    emit("append", { id: target, text: tail }, elt);
  }

  // ---- The stream: open it, read it, notice its end, and poll while it is down

  async function open() {
    clearTimeout(timers.retry);
    if (state.stream || state.stopped || state.asleep || state.polling || !page.page) return;
    const mine = (state.stream = new AbortController());
    /** @type {number | string} */ let end = "lost";
    state.fed = Date.now();
    try {
      const answer = await fetch(page.url + "stream/", { signal: mine.signal, cache: "no-store", headers: {
        Accept: "text/event-stream", "X-Live-Page": page.page, "Last-Event-ID": page.number || "" } });
      const streams = answer.status === 200 && /event-stream/.test(answer.headers.get("content-type") || "");
      end = streams && answer.body ? await listen(answer.body.getReader()) : answer.status;
    } catch {} // cut, refused or given up by the watchdog
    if (state.stream !== mine) return;
    close();
    ended(end);
  }

  function close() {
    const old = state.stream;
    state.stream = null;
    state.up = false;
    old?.abort();
  }

  /** @param {number | string} why */
  function ended(why) {
    if (why === 403) return refuse(403);
    if (why === "bye") return (timers.retry = setTimeout(open, Math.random() * SECOND));
    if (why === 401 || why === 404) sync();
    if (why === 204) state.polling = true;
    else {
      const longest = state.tries < 8 ? 2 : 30;
      const delay = Math.min(longest * SECOND, 250 * 2 ** state.tries++) * (0.5 + Math.random() / 2);
      timers.retry = setTimeout(open, delay);
      if (!doc.hidden) offline(true);
    }
    pollLater();
  }

  /** Reads messages until the end. Lines end with CR, LF or both, and chunks anywhere. @param {any} reader */
  async function listen(reader) {
    const decoder = new TextDecoder();
    let rest = "", event = "", data = /** @type {string[]} */ ([]);
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return "lost";
      state.fed = Date.now();
      const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() || "";
      for (const line of lines) {
        const [, field, text] = /^([^:]*):? ?(.*)$/s.exec(line) || [];
        if (field === "event") event = text;
        else if (field === "data") data.push(text);
        else if (field === "id") page.number = text;
        else if (!line) {
          if (event === "bye") return event;
          if (data.length) receive(event, data.join("\n"));
          (event = ""), (data = []);
        }
      }
    }
  }

  /** @param {string} event @param {string} data */
  function receive(event, data) {
    if (!event) return apply(data);
    if (event === "reset") return (state.everything = true), sync();
    const message = JSON.parse(data);
    if (event === "append") append(message);
    else if (event === "notice") notice(message);
    else if (event === "redirect") /^http/.test(new URL(message.url, doc.baseURI).protocol) && location.assign(message.url);
    else if (event === "hello") {
      Object.assign(state, { up: true, tries: 0, idle: 0, heartbeat: message.heartbeat || state.heartbeat });
      clearTimeout(timers.poll);
      offline(false);
      emit("connected");
    }
  }

  /** @param {boolean} now */
  function offline(now) {
    if (now === state.offline) return;
    state.offline = now;
    doc.querySelector("[data-live-banner=added]")?.remove();
    const banner = now && !doc.querySelector(".live-banner") && part("banner");
    if (banner) (banner.dataset.liveBanner = "added"), doc.body.append(banner);
    if (now) emit("disconnected");
    paint();
  }

  /** The grant is not good any more: no stream, no polls. @param {number} status */
  function refuse(status) {
    close();
    state.stopped = true;
    offline(false);
    tell(status);
  }

  const timers = /** @type {Record<string, any>} */ ({});

  function pollLater() {
    clearTimeout(timers.poll);
    const every = +(page.poll || 3) * SECOND * Math.min(4, 1 + state.idle / 4);
    timers.poll = setTimeout(async () => {
      if (state.up || state.stopped || state.asleep) return;
      if (!doc.hidden) await sync();
      pollLater();
    }, every);
  }

  /** @type {Promise<void> | null} */ let asking = null;
  let again = false;

  /** Asks what the page has missed. One at a time, and once more if asked meanwhile. */
  function sync() {
    again = !!asking;
    return (asking ||= ask().catch(() => {}).finally(() => {
      asking = null;
      if (again) sync();
    }));
  }

  async function ask() {
    if (state.stopped || !page.page) return;
    const { up, everything, adopt } = state;
    const all = (/** @type {string} */ selector) => [.../** @type {NodeListOf<HTMLElement>} */ (doc.querySelectorAll(selector))];
    const answer = await fetch(page.url + "sync/", { method: "POST", signal: AbortSignal.timeout(15 * SECOND),
      headers: { "Content-Type": "application/json", "X-Live-Page": page.page, "X-CSRFToken": page.csrf || "" },
      body: JSON.stringify({ number: everything ? "" : page.number, adopt, poll: !up, hidden: doc.hidden,
        roots: all(ROOT).map((elt) => ({ live: elt.dataset.live, rev: +(elt.dataset.liveRev || 0) })),
        streams: Object.fromEntries(all("[data-live-stream]").map((elt) => [elt.id, elt.dataset.liveAt])) }) });
    const [text, messages] = (await answer.text()).split(/<script[^>]* data-live-messages>|<\/script>/), header = (/** @type {string} */ name) => answer.headers.get("X-Live-" + name);
    if (SIGNED_OUT.includes(answer.status)) return refuse(answer.status);
    if (!answer.ok || answer.redirected) return;
    state.idle = answer.status === 204 ? state.idle + 1 : 0;
    state.everything = false;
    state.adopt = [];
    if (text) await apply(text);
    if (!state.up && header("Number")) page.number = header("Number") || "";
    for (const one of JSON.parse(messages || "[]")) receive(one.event, one.data);
    if (+(header("Remounted") || 0)) tell("remounted");
  }

  // ---- Words for the user: every text is in the template #live-messages

  /** @param {string | number} name @returns {any} a copy of a part of the template */
  const part = (name) =>
    /** @type {any} */ (doc.getElementById("live-messages"))?.content.querySelector(`[data-live-part~="${name}"]`)?.cloneNode(true);

  /** @type {WeakMap<Element, Flight>} */
  const retries = new WeakMap();

  /** Says what a status means. @param {number | string} status @param {Flight} [flight] @param {string} [what] */
  function tell(status, flight, what = "") {
    const toast = part(status) || part("other");
    if (!emit("error", { status, handler: flight?.handler, detail: what }, flight?.trigger) || !toast) return;
    const text = toast.querySelector("[data-live-text]");
    text.textContent = text.textContent.replace("{}", what);
    if (flight) retries.set(toast, flight);
    raise(toast, "status-" + status);
  }

  /** @param {{message: string, level?: string, key?: string, url?: string}} about */
  function notice(about) {
    const toast = part(about.level || "info") || part("info");
    if (!emit("notice", about) || !toast) return;
    const url = about.url && new URL(about.url, doc.baseURI), text = toast.querySelector("[data-live-text]");
    const place = url && /^http/.test(url.protocol) ? text.appendChild(doc.createElement("a")) : text;
    if (place !== text) place.href = url;
    place.textContent = about.message;
    raise(toast, about.key);
  }

  /** @param {any} toast @param {string} [key] a toast with the same key is replaced */
  function raise(toast, key = "") {
    const place = doc.querySelector("[data-live-toasts]") || doc.body.appendChild(part("toasts"));
    for (const old of place.children) if (key && old.dataset.key === key) old.remove();
    toast.dataset.key = key;
    place.append(toast);
    if (toast.role !== "alert") fade(toast);
  }

  /** Takes the toast away after a while, not from under the pointer or the focus. @param {HTMLElement} toast */
  const fade = (toast) =>
    setTimeout(() => (toast.matches(":hover,:focus-within") ? fade(toast) : toast.remove()), 6 * SECOND);

  // ---- Answers: what their status and headers say

  /** @param {any} ctx */
  function answered({ live, response, hx, text }, /** @type {any} */ ctx) {
    const { status, headers, raw } = response, header = (/** @type {string} */ name) => headers.get("X-Live-" + name);
    for (const one of JSON.parse(header("Notices") || "[]")) notice(one);
    if (header("Page")) {
      Object.assign(page, { page: header("Page"), number: header("Number") || "", csrf: header("CSRF") || page.csrf });
      open();
    }
    if (!live?.root) return;
    live.answered = true;
    live.reset = !!header("Reset-Forms");
    const [how, url] = split(header("Url"));
    if (url) hx[how + "url"] = url;
    const foreign = raw.redirected || (status === 200 && !text.includes("<hx-partial"));
    if (status >= 400) tell(status, live, header("Field") || header("Error") || "");
    else if (foreign) tell(403, live);
    else if (header("Remounted")) tell("remounted");
    if (status >= 400 || foreign) ctx.text = ""; // an error page is never swapped
  }

  const extension = {
    init: (/** @type {any} */ inside) => void (api = inside),
    htmx_config_request(/** @type {any} */ elt, /** @type {any} */ { ctx }) {
      const { request } = ctx;
      if (page.page && new URL(request.action, doc.baseURI).origin === location.origin) request.headers["X-Live-Page"] = page.page;
      if (!ctx.live && elt.dataset?.liveEvent == null) return;
      ctx.live ||= flightOf(elt, ctx.sourceEvent, request);
      ctx.target = html; // 4.0.1 drops the answer when the target is gone
      if (!api.attributeValue(elt, "hx-sync")) delete elt._htmx_state?.rq;
      ctx.fetch = (/** @type {string} */ url, /** @type {any} */ init) => fly(ctx.live, url, init, ctx);
    },
    htmx_before_request(/** @type {any} */ _, /** @type {any} */ { ctx }) {
      if (!ctx.live) return;
      state.flights.add(ctx.live);
      paint();
    },
    htmx_after_request: (/** @type {any} */ _, /** @type {any} */ { ctx }) => answered(ctx, ctx),
    htmx_finally_request(/** @type {any} */ _, /** @type {any} */ { ctx }) {
      if (ctx.live) land(ctx.live);
    },
    htmx_before_swap: (/** @type {any} */ _, /** @type {any} */ { ctx, tasks }) => sift(ctx, tasks),
    htmx_before_morph_node: (/** @type {any} */ old, /** @type {any} */ { newNode }) =>
      state.applying && old.matches && newNode.matches ? morphs(old, newNode) : undefined,
    htmx_before_morph_attr: (/** @type {any} */ elt, /** @type {any} */ { attrName }) =>
      state.applying && attrName === "open" && elt.matches(OPENS) ? false : undefined,
    htmx_before_settle(/** @type {any} */ target) {
      state.applying ? settle(target) : paint();
    },
    htmx_after_process(/** @type {any} */ target) {
      for (const elt of target.querySelectorAll(OPENS)) if (!served.has(elt)) served.set(elt, elt.open);
      paint();
    },
  };

  // ---- The page's life

  /** The grants of this page, for the same page after a reload or on the way back. */
  const shelf = () => "htmx-live:" + location.pathname + location.search;

  function keep() {
    try {
      sessionStorage.setItem(shelf(), JSON.stringify(
        [.../** @type {NodeListOf<HTMLElement>} */ (doc.querySelectorAll(ROOT))].map((elt) => elt.dataset.live)));
    } catch {} // storage may be forbidden or full: the page then mounts anew
  }

  function adoptKept() {
    const [entry] = /** @type {PerformanceNavigationTiming[]} */ (performance.getEntriesByType("navigation"));
    if (!/reload|back/.test(entry?.type)) return;
    try {
      state.adopt = JSON.parse(sessionStorage.getItem(shelf()) || "[]");
      sessionStorage.removeItem(shelf());
    } catch {}
    if (state.adopt.length) sync();
  }

  function register() {
    if (!api && win.htmx?.registerExtension) win.htmx.registerExtension("htmx-live", extension);
  }

  function start() {
    register();
    html.classList.add("live-ready");
    extension.htmx_after_process(doc.body);
    adoptKept();
    open();
  }

  /** @param {EventTarget} on @param {string} type @param {(event: any) => void} listener */
  const listenTo = (on, type, listener) => on.addEventListener(type, listener);

  listenTo(doc, "visibilitychange", () => {
    clearTimeout(timers.sleep);
    if (doc.hidden) {
      keep();
      timers.sleep = setTimeout(() => ((state.asleep = true), sync(), close()), +(page.hiddenClose || 60) * SECOND);
    } else {
      state.asleep = false;
      open();
      if (!state.up) pollLater();
    }
  });
  listenTo(win, "pagehide", () => (keep(), (state.leaving = true), close()));
  listenTo(win, "pageshow", (event) => event.persisted && ((state.leaving = false), open()));
  listenTo(win, "online", () => state.up || (close(), open()));
  listenTo(win, "load", register);
  listenTo(doc, "htmx:abort", ({ target }) => {
    for (const one of state.flights) if (one.trigger === target) one.aborted = true;
  });
  listenTo(doc, "click", ({ target }) => {
    const button = target.closest?.("[data-live-do]"), toast = button?.closest(".live-toast");
    if (!button) return;
    const flight = retries.get(toast), wanted = button.dataset.liveDo;
    toast?.remove();
    if (wanted === "reload") location.reload();
    if (wanted === "retry" && flight) resend(flight);
  });
  // The watchdog: a stream that is silent for 2.5 heartbeats is dead, whatever the socket says.
  setInterval(() => {
    if (Date.now() - state.fed > 2.5 * SECOND * state.heartbeat) state.stream?.abort();
  }, SECOND);

  /** @param {string} name @param {boolean} on */
  const mark = (name, on) => (state.started[on ? "add" : "delete"](name), paint());
  win.htmxLive = {
    loading: {
      start: (/** @type {string} */ name) => mark(name, true),
      stop: (/** @type {string} */ name) => mark(name, false),
      pending: { has: (/** @type {string} */ name) => activities().some((one) => isFor(one, name, "*")) },
    },
    sync,
  };
  register();
  doc.readyState === "loading" ? listenTo(doc, "DOMContentLoaded", start) : start();
})();

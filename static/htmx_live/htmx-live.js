// @ts-check
// htmx-live: what htmx 4 and attributes cannot do for a live view. docs/wire.md is the contract with the server,
// docs/client.md describes events and API. htmx makes requests and swaps; this extension adds loading state, an
// order of events per view, a stream that catches up, and morphs that keep what the user typed.
(() => {
  const doc = document, html = doc.documentElement, win = /** @type {any} */ (window), SECOND = 1000;
  const ROOT = "[data-live]", TRIGGER = "[data-live-event]:not([data-live-progress])", FIELD = "input:not([type=file]),textarea,select";
  const DIRECTIVE = "[data-live-show],[data-live-hide],[data-live-disable],[data-live-class],[data-live-remove-class]";
  const OPENS = "details,dialog", TOKEN = "csrfmiddlewaretoken";
  const ARRIVES = "[data-live-word],[data-live-progress]", KEPT_EARLY = 30 * SECOND;
  const WORKING = "[data-live-pending]:not([data-live-pending='']),[data-live-progress][data-status=running]";
  // A fragment that replaces what its target shows, with the target's id.
  const REPLACES = /<hx-partial hx-target="#([^"]+)" hx-swap="(?:outer|inner)[^]*?<\/hx-partial>/g;

  const meta = /** @type {HTMLElement} */ (doc.querySelector("meta[name=htmx-live]"));
  if (!meta || win.htmxLive) return;
  const page = /** @type {any} */ (meta.dataset); // page, number, csrf, csrfCookie, url, upload, plain, heartbeat, poll, hiddenClose, groups

  /** Everything that is remembered here; the rest is in the DOM. A flight is one event between click and end. */
  const state = {
    flights: /** @type {Set<any>} */ (new Set()), // oldest first
    started: new Set(), // names given to htmxLive.loading.start
    looks: new WeakMap(), // element with a loading directive -> what was done to it
    held: /** @type {any[]} */ ([]), // pushes that wait for a flight
    swapping: /** @type {any} */ (null), // the flight (a push: {}) whose partials are swapped; null: not ours
    fields: new Map(), // field -> its value and the rendered one, before the morph that goes on
    served: new WeakMap(), // <details> or <dialog> -> whether the server rendered it open
    moved: new Map(), // id of a root -> id of the one adopted in its place
    early: new Map(), // id of an element that is not on the page yet -> the newest fragment for it, and until when
    words: new Set(), // those of data-live-word that the server knows of
    adopt: [], // grants that this page had before its reload
    stream: /** @type {AbortController | null} */ (null),
    up: false, // the stream said hello
    heard: false, // an answer of any kind has come since the stream was last open
    offline: false, // the user knows that the server does not answer
    unanswered: /** @type {any[]} */ ([]), // flights with the value of a field, for when the server answers again
    mode: "", // "poll": there are no streams here, "stop": the server refuses this page
    fed: 0, // time of the stream's last byte, ms
    tries: 0, // since the last hello
    calm: 0, // polls without news
    isWorking: false, // a job of the page runs
    isHeard: true, // the last sync was answered
    everything: false, // the next sync asks for all there is
    syncing: /** @type {Promise<void> | null} */ (null),
    shown: "", // ids of the roots on the page
    again: false, // sync was asked for meanwhile
  };
  const timers = /** @type {any} */ ({}), retries = new WeakMap();
  /** What this tab remembers under a key; writes a value if there is one. Storage may be forbidden, or full. */
  const memory = (key, value) => {
    try {
      return value == null ? sessionStorage[key] : (sessionStorage[key] = value);
    } catch {}
  };
  let api; // htmx's inside

  /** @returns {any[]} */
  const all = (selector, from = /** @type {any} */ (doc)) => [...from.querySelectorAll(selector)];
  const split = (words) => (words || "").split(/\s+/).filter(Boolean);
  const resolved = (url) => new URL(url, doc.baseURI);
  /** The CSRF token of now: the answer to another first page, or a login, replaces the cookie that this page came with. */
  const csrf = () => doc.cookie.split("; ").filter((one) => one.startsWith(page.csrfCookie + "=")).pop()?.split("=")[1]
    || page.csrf || "";
  const rootId = (elt) => elt.closest(ROOT)?.id;
  const rootOf = (id) => doc.getElementById(state.moved.get(id) || id);
  const emit = (name, detail, elt = /** @type {Node} */ (doc)) =>
    (elt.isConnected ? elt : doc).dispatchEvent(
      new CustomEvent("live:" + name, { detail, bubbles: true, cancelable: true }));
  const later = (name, ms, run) => {
    clearTimeout(timers[name]);
    timers[name] = setTimeout(run, ms);
  };

  // ---- Loading: a function of the events in flight and of data-live-pending, nothing else

  const activities = () => [
    ...state.flights,
    ...[...state.started].map((handler) => ({ root: "*", handler })),
    ...all("[data-live-pending]").flatMap((elt) => split(elt.dataset.livePending).map((word) => {
      const [handler, name, key] = word.split(":").map(decodeURIComponent);
      return { root: elt.id, handler, name, key };
    })),
  ];

  const isFor = (one, name, root, key) =>
    (root === "*" || one.root === "*" || one.root === root) &&
    (one.handler === name || one.name === name) && (key == null || one.key === key);

  /** A request belongs to its element, or to an equal one if that was swapped away; a job to its handler. */
  function isBusy(elt, active) {
    const { liveEvent, liveKey, liveArgs } = elt.dataset;
    return active.some((one) => one.trigger?.isConnected ? one.trigger === elt
      : isFor(one, liveEvent, rootId(elt), liveKey) && (!one.trigger || one.args === liveArgs));
  }

  function isWanted(elt, active) {
    const { liveFor, liveKey } = elt.dataset, trigger = elt.closest(TRIGGER);
    if (liveFor != null)
      return split(liveFor).some((word) => active.some((one) =>
        isFor(one, word.replace("*:", ""), word[0] === "*" ? "*" : rootId(elt), liveKey)));
    if (trigger) return isBusy(trigger, active);
    const groups = split(page.groups).map((name) => "." + CSS.escape(name)).join();
    const group = groups && elt.closest(groups);
    return !!group && all(TRIGGER, group).some((one) => isBusy(one, active));
  }

  /** Turns a directive on or off, now or when delay and min allow it; puts its look on again after a morph. */
  function turn(elt, wanted) {
    const { liveDelay, liveMin, liveClass, liveRemoveClass, liveDisable } = elt.dataset, { classList } = elt;
    let look = state.looks.get(elt);
    if (!look && !wanted) return;
    if (!look) state.looks.set(elt, (look = { on: false, taken: [] }));
    const now = Date.now();
    clearTimeout(look.timer);
    if (wanted === look.on) look.due = 0;
    else {
      look.due ||= wanted ? now + +(liveDelay || 0) : look.since + +(liveMin || 0);
      if (look.due > now) look.timer = setTimeout(paint, look.due - now);
      else Object.assign(look, { on: wanted, due: 0, since: now });
    }
    const { on } = look;
    for (const name of ["live-on", ...split(liveClass)]) classList.toggle(name, on);
    if (on) look.taken.push(...split(liveRemoveClass).filter((name) => classList.contains(name)));
    for (const name of on ? look.taken : look.taken.splice(0)) classList.toggle(name, !on);
    if (liveDisable == null || (!on && look.was == null)) return;
    look.was ??= elt.hasAttribute("disabled");
    look.focused ||= elt === doc.activeElement; // a disabled element loses the focus
    elt.toggleAttribute("disabled", on || look.was);
    if (on) return;
    if (look.focused && doc.activeElement === doc.body) elt.focus({ preventScroll: true });
    look.was = look.focused = null;
  }

  function paint() {
    const active = activities();
    doc.body.classList.toggle("live-loading", active.length > 0);
    doc.body.classList.toggle("live-offline", state.offline);
    doc.body.classList.toggle("live-cut", !navigator.onLine);
    for (const elt of all(TRIGGER)) {
      const busy = isBusy(elt, active);
      elt.classList.toggle("live-busy", busy);
      if (busy || elt.ariaBusy) elt.ariaBusy = busy || null;
    }
    for (const elt of all(DIRECTIVE)) turn(elt, isWanted(elt, active));
    const isWorking = !!all(WORKING)[0], hasChanged = isWorking !== state.isWorking;
    state.isWorking = isWorking;
    if (hasChanged && state.mode === "poll") poll();
    const shown = all(ROOT).map(({ id }) => id) + "";
    if (!shown.includes(state.shown)) later("gone", 31 * SECOND, sync); // the server ends what the page names no more
    state.shown = shown;
    const cards = all("[data-live-progress]").map((elt) => [elt, { ...elt.dataset }]);
    if (cards[0]) import(page.progress).then(({ finish }) => cards.forEach(finish), () => {});
  }

  // ---- Events: one at a time per view, in the order of the clicks, bound to the view's id
  // htmx's own queue drops the third click and loses what waits for a trigger that is swapped away. So each event is
  // alone in its queue there, and its fetch waits here until the flights before it for the same root have landed.

  const firstOf = (root) => [...state.flights].find((one) => one.root === root);
  const nonce = () => // 32 hex digits
    [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => (byte + 256).toString(16).slice(1)).join("");

  function flightOf(trigger, { type }, body) {
    const { liveEvent: handler, liveKey: key, liveArgs: args } = trigger.dataset;
    if (args) body.set("_args", args);
    if (!trigger.name && trigger.matches("input,select,textarea,button[value]"))
      body.set("value", trigger.type === "checkbox" ? trigger.checked : trigger.value);
    const isTyping = /^(input|key|every)/.test(type), grant = trigger.closest(ROOT)?.dataset.live;
    const isValue = /^(input|key|change|search)/.test(type) && trigger.matches(FIELD);
    return { handler, key, args, trigger, root: rootId(trigger), nonce: nonce(), isTyping, isValue, grant };
  }

  /** Sends the value of a field again that got lost; false if this is not for us to decide. Only once, because the
      handler may be what kills the server, and only a field's newest value: another one has an event of its own. */
  function repeat(flight) {
    const { isValue, isRepeated, isAborted, trigger, body } = flight, { type, name, checked, value } = trigger;
    if (!isValue || isRepeated || isAborted || !trigger.isConnected) return false;
    const now = !/checkbox|radio/.test(type) ? value : !name ? checked + "" : checked ? value : null;
    if (body.get(name || "value") === now) resend(flight, true);
    return true;
  }

  /** Stands in for fetch. */
  async function fly(flight, url, init, ctx) {
    const { root, trigger } = flight, wait = () => {
      clearTimeout(ctx.requestTimeout);
      ctx.requestTimeout = setTimeout(() => ctx.request.abort("timeout"),
        win.htmx.parseInterval(ctx.request.timeout ?? win.htmx.config.defaultTimeout));
    };
    clearTimeout(ctx.requestTimeout);
    for (const one of state.flights)
      if (flight.isTyping && one.isTyping && one.trigger === trigger && one.go) (one.isOld = true), one.go();
    if (firstOf(root) !== flight) await new Promise((go) => init.signal.addEventListener("abort", (flight.go = go)));
    flight.go = null;
    if (flight.isOld) return new Response(null, { status: 204 }); // a newer keystroke waits
    wait();
    flight.url ||= url;
    flight.body ||= init.body;
    flight.isSent = !init.signal.aborted;
    if (state.adopt[0]) await state.syncing; // which root this is for is being settled
    const { live = flight.grant || "", liveRev = "0" } = rootOf(root)?.dataset || {};
    const hasFiles = [...flight.body].some(([, value]) => value.size);
    const { send = fetch } = hasFiles ? await import(page.upload).catch(() => ({})) : {};
    return send(flight.url, { ...init, body: flight.body, headers: { ...init.headers,
      "X-Live": live, "X-Live-Rev": liveRev, "X-Live-Nonce": flight.nonce, "X-CSRFToken": csrf() } }, trigger, wait);
  }

  function land(flight) {
    state.flights.delete(flight);
    firstOf(flight.root)?.go?.();
    if (flight.isSent && !flight.isAnswered) {
      sync();
      if (flight.isValue) state.unanswered.push(flight);
      else if (!flight.isAborted) tell("none", flight);
    }
    release();
    paint();
  }

  /** Try again: under the same nonce if it may have run. */
  function resend(flight, isRepeated = flight.isRepeated) {
    const live = { ...flight, isRepeated, isSent: false, isAnswered: false, nonce: flight.isAnswered ? nonce() : flight.nonce };
    win.htmx.ajax("POST", flight.url, { source: meta, target: html, swap: "none", live });
  }

  /** Reads the headers that any answer may have. @param {(name: string) => string | null} header */
  function readHeaders(header, flight) {
    for (const one of JSON.parse(header("Notices") || "[]")) notice(one);
    if (header("Page")) {
      page.number ||= header("Number");
      Object.assign(page, { page: header("Page"), csrf: header("CSRF") });
      open();
    }
    const refused = header("Refused"); // by Django's CSRF check
    if (refused) tell(refused, flight, header("Reason") || "");
    return refused;
  }

  /** Reads what an answer's status and headers say. */
  function answered(ctx) {
    const { live, hx, text, response: { status, headers, raw } } = ctx;
    const header = (name) => headers.get("X-Live-" + name), refused = readHeaders(header, live);
    if (!live?.handler) return;
    const isForeign = raw.redirected || (status === 200 && !/<hx-partial/.test(text) && !hx.redirect && !hx.refresh);
    const [how, url] = split(header("Url"));
    if (url) hx[how + "url"] = url;
    live.isAnswered = true;
    live.resets = header("Reset-Forms");
    const pause = pauseOf(ctx.response);
    if (pause) refuse(status, pause);
    else if (isForeign || (status > 399 && !header("Notices") && !refused))
      tell(isForeign ? 403 : status, live, header("Field") || header("Error") || "");
    if (isForeign || status > 399) return void (ctx.text = ""); // never swapped
    if (header("Remounted") && !repeat(live)) remounted(true);
    heard();
    for (const toast of all(".live-toast")) {
      const { handler, root } = retries.get(toast) || {};
      if (handler === live.handler && root === live.root) toast.remove(); // it succeeded in the end
    }
  }

  // ---- Morphs: what the user typed, chose and opened stays, unless the answer to just that says otherwise

  /** A field's value, or the one that the server rendered. */
  function read(elt, rendered) {
    if (/checkbox|radio/.test(elt.type)) return rendered ? elt.defaultChecked : elt.checked;
    if (!elt.options) return rendered ? elt.defaultValue : elt.value;
    const chosen = [...elt.options].filter((one) => (rendered ? one.defaultSelected : one.selected));
    if (rendered && !chosen[0] && !elt.multiple) chosen.push(...[...elt.options].slice(0, 1));
    return chosen.map((one) => one.value).join("\n");
  }

  function write(elt, value) {
    if (read(elt) === value) return;
    if (elt.options) for (const one of elt.options) one.selected = value.split("\n").includes(one.value);
    else elt[value === !!value ? "checked" : "value"] = value;
  }

  /** Whether a field shows what the flight sent, and its answer has a value for it. */
  function isSettled(elt, was, isChanged) {
    const { body, trigger } = state.swapping, isBox = was === !!was;
    const sent = body?.getAll(elt.name || (elt === trigger ? "value" : "")) || [];
    return sent.includes(isBox ? elt.value : was) && (isChanged || (!isBox && elt.matches("input[value]")));
  }

  /** False where the old node stays as it is. */
  function morph(old, next) {
    const { liveKeep, liveStream, liveAt } = old.dataset, look = state.looks.get(old), inner = next.parentElement;
    if (!inner) for (const elt of all(FIELD, old)) state.fields.set(elt, [read(elt), read(elt, true)]);
    if (inner && (liveKeep != null || (old.dataset.live && next.dataset.live != null && next.id === old.id))) return false;
    if (old.name === TOKEN && next.name === TOKEN) return false;
    if (liveStream && covers(liveAt, next.dataset.liveAt)) return false;
    if (look) {
      look.taken = [];
      if (look.was != null) look.was = next.hasAttribute("disabled");
    }
    const [was, rendered] = state.fields.get(old) || [];
    if (was !== rendered && was !== !!was && !old.options)
      old.defaultValue = next.defaultValue; // htmx then sees no difference and leaves value, caret and composition
    if (old.matches(OPENS)) {
      const isChanged = state.served.get(old) === !next.open;
      state.served.set(old, next.open);
      if (isChanged) old.close && !next.open ? old.close() : (old.open = next.open);
    }
  }

  function settle(target) {
    const kept = [];
    for (const [elt, [was, rendered]] of state.fields) {
      const now = read(elt, true);
      elt.removeAttribute("autofocus"); // it had the focus when it was new; htmx would give it again
      if (was === rendered || state.swapping.resets || isSettled(elt, was, now !== rendered)) write(elt, now);
      else kept.push([elt, was]);
    }
    for (const one of kept) write(...one); // last, or another radio button's new default would win
    state.fields.clear();
    if (state.swapping.resets) for (const elt of all("[type=file]", target)) elt.value = "";
    for (const elt of all(`input[name=${TOKEN}]`, target)) elt.value ||= csrf();
    // An empty root is a child that the page should have: what brought it was missed, so its parent is asked for again.
    for (const elt of all("[data-live='']", target)) (elt.parentElement.closest(ROOT).dataset.liveRev = "0"), sync();
    paint();
    emit("applied", { id: target.id }, target);
  }

  // ---- Partials: stale ones are dropped, pushes wait (at most 2 s) for the answer to a click on the same view

  const isStale = (target, root) => target.id === root.id && +root.dataset.liveRev <= +target.dataset.liveRev;

  function sift(ctx, tasks) {
    const live = (state.swapping = ctx.live);
    if (live) ctx.transition = false; // its swap would run after others have begun
    for (const task of [...tasks]) {
      const { target, fragment } = task, root = fragment?.firstElementChild;
      if (root?.dataset?.live == null || !target?.dataset?.live) continue;
      const mustWait = live && !live.handler && root.id === target.id && firstOf(root.id);
      if (mustWait) {
        state.held.push({ task, root, until: Date.now() + 2 * SECOND });
        setTimeout(release, 2 * SECOND);
      }
      if (mustWait || isStale(target, root)) tasks.splice(tasks.indexOf(task), 1);
      else if (root.id !== target.id) { // adopted: morphed, for what is typed; what is kept would keep the other's arguments
        state.moved.set(target.id, (target.id = root.id));
        for (const elt of all("[data-live-keep]", target)) delete elt.dataset.liveKeep;
      }
    }
  }

  function release() {
    state.held = state.held.filter(({ task, root, until }) => {
      const target = rootOf(task.target.id);
      if (target && firstOf(target.id) && Date.now() < until) return true;
      state.swapping = {};
      if (target && !isStale(target, root)) api.insertContent({ ...task, target });
    });
  }

  /** Swaps partials of the stream or of sync; without htmx 4 it replaces. */
  function apply(text) {
    // An answer that is on its way may bring the target, rendered before this.
    for (const [fragment, id] of text.matchAll(REPLACES))
      if (!doc.getElementById(id)) state.early.set(id, { fragment, until: Date.now() + KEPT_EARLY });
    return api ? win.htmx.swap({ text, sourceElement: meta, target: html, swap: "none", live: {} })
      : import(page.plain).then(({ swap }) => (swap(text), paint()));
  }

  /** Applies the fragments that came before their targets. */
  function applyEarly() {
    for (const [id, { fragment, until }] of state.early) {
      const isHere = doc.getElementById(id), isOld = until < Date.now();
      if (isHere || isOld) state.early.delete(id);
      if (isHere && !isOld) apply(fragment);
    }
  }

  /** Nodes were added by htmx 4, htmx 2 or a script of the page: cards and regions among them become live. */
  function arrive(records) {
    const isLive = (/** @type {any} */ node) => node.matches?.(ARRIVES) || node.querySelector?.(ARRIVES);
    applyEarly();
    if (!records.some(({ addedNodes }) => [...addedNodes].some(isLive))) return;
    const words = all("[data-live-word]").map((elt) => elt.dataset.liveWord).filter((word) => !state.words.has(word));
    for (const word of words) state.words.add(word);
    if (words[0] && !win.htmx) sync(); // htmx has sent X-Live-Page with the request that brought them
    paint();
  }

  /** Generation and offset of data-live-at. @returns {[string, number]} */
  const position = (at = "") => {
    const [generation, offset] = at.split(".");
    return [generation, +offset];
  };

  function covers(mine, theirs) {
    const [generation, offset] = position(mine), [other, least] = position(theirs);
    return generation === other && offset >= least;
  }

  function append({ target, generation, offset, text }) {
    const elt = doc.getElementById(target), points = [...text];
    if (!elt) return;
    let [mine, length] = position(elt.dataset.liveAt);
    if (generation !== mine && !offset) (elt.textContent = ""), (mine = generation), (length = 0);
    if (generation !== mine || offset > length) return sync();
    const tail = points.slice(length - offset).join(""), last = /** @type {any} */ (elt.lastChild);
    if (tail) last?.appendData ? last.appendData(tail) : elt.append(tail);
    elt.dataset.liveAt = `${generation}.${Math.max(length, offset + points.length)}`;
    emit("append", { id: target, text: tail }, elt);
  }

  // ---- The stream: opened, read, missed; while it is away the page polls

  async function open() {
    clearTimeout(timers.open);
    if (state.stream || state.mode || !page.page) return;
    const mine = (state.stream = new AbortController());
    let end;
    state.fed = Date.now();
    try {
      const answer = await fetch(page.url + "stream/", { signal: mine.signal, cache: "no-store", headers: {
        Accept: "text/event-stream", "X-Live-Page": page.page, "Last-Event-ID": page.number || "" } });
      const isStream = answer.status === 200 && answer.headers.get("Content-Type")?.includes("event-stream");
      end = isStream ? await listen(/** @type {any} */ (answer.body).getReader()) : answer.status;
    } catch {} // refused, cut, or given up by the watchdog
    if (state.stream !== mine) return;
    close();
    if (end === 403) return refuse(403);
    if (end === 410) return refuse(410, 30 * SECOND);
    if (end === "bye") return later("open", Math.random() * SECOND, open);
    if (end === 401 || end === 404) sync();
    if (end === 204) state.mode = "poll";
    else {
      const longest = state.tries < 8 ? 2 * SECOND : 30 * SECOND;
      later("open", Math.min(longest, 250 * 2 ** state.tries++) * (0.5 + Math.random() / 2), open);
      missed();
    }
    poll();
  }

  function close() {
    const { stream } = state;
    state.stream = null;
    if (state.up) state.heard = false;
    state.up = false;
    stream?.abort();
  }

  /** The server refuses this page: no stream and no polls, for good or for a `pause` in ms. */
  function refuse(status, pause) {
    close();
    state.mode = "stop";
    for (const elt of all("[data-live-pending]")) elt.dataset.livePending = ""; // the ends of its jobs will not reach it
    offline(false);
    paint();
    tell(pause ? "unshared" : status);
    if (pause) later("again", pause, () => ((state.mode = ""), open()));
  }

  /** Milliseconds after which a page that lives in the memory of another process may ask again. */
  const pauseOf = ({ status, headers }) => status === 410 && headers.get("Retry-After") * SECOND;

  /** An event, a sync or the stream was answered. */
  function heard() {
    if (!(state.heard || state.up || state.mode || doc.hidden)) { // the server is back: no need to wait for the next try
      state.tries = 0;
      later("open", Math.random() * SECOND, open);
    }
    state.heard = true;
    offline(false);
    if (state.mode !== "stop") drop("status-unshared");
    for (const one of state.unanswered.splice(0)) if (!repeat(one) && !one.isAborted) tell("none", one);
  }

  function missed() {
    if (!state.heard && !doc.hidden && state.mode !== "stop") offline(true);
  }

  /** Reads messages until the end. Chunks end anywhere, lines with CR, LF or both. */
  async function listen(reader) {
    const decoder = new TextDecoder();
    let rest = "", event = "", data = [];
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      state.fed = Date.now();
      const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() || "";
      for (const line of lines) {
        const [, field, text] = /** @type {any} */ (/^([^:]*):? ?(.*)/s.exec(line));
        if (field === "event") event = text;
        if (field === "data") data.push(text);
        if (field === "id") page.number = text;
        if (line) continue;
        if (event === "bye") return event;
        if (data[0] != null) receive(event, data.join("\n"));
        (event = ""), (data = []);
      }
    }
  }

  function receive(event, data) {
    if (!event) return apply(data);
    if (event === "reset") return (state.everything = true), emit(event), sync();
    if (event === "sync") return sync();
    const message = JSON.parse(data);
    if (event === "append") append(message);
    if (event === "notice") notice(message);
    if (event === "redirect" && isWeb(message.url)) location.assign(message.url);
    if (event === "hello") {
      Object.assign(state, { up: true, tries: 0, calm: 0 });
      page.heartbeat = message.heartbeat || page.heartbeat;
      clearTimeout(timers.poll);
      later("banner", 50, async () => { // a reset that comes with hello is made good first
        if ((await state.syncing) !== false && state.up) heard();
      });
      emit("connected");
    }
  }

  function offline(is) {
    if (is === state.offline) return;
    state.offline = is;
    if (is && !all(".live-banner")[0]) doc.body.append(part("banner") || ""); // it stays, to say for a moment "back"
    if (is) emit("disconnected");
    paint();
  }

  /** Asks again later: soon where there are no streams and a job runs, ever later while nothing is new. */
  function poll() {
    const { mode, isWorking, isHeard, calm } = state, pause = page.poll * SECOND * Math.min(4, 1 + calm / 4);
    later("poll", mode === "poll" && isWorking && isHeard ? Math.min(SECOND / 2, pause) : pause, async () => {
      if (!doc.hidden) await sync();
      if (!state.up && state.mode !== "stop") poll();
    });
  }

  /** Asks what the page has missed. One at a time, and once more if asked meanwhile. */
  function sync() {
    state.again = !!state.syncing;
    return (state.syncing ||= ask().catch(() => false).then((isAnswered) => {
      if (isAnswered) heard();
      else {
        clearTimeout(timers.banner); // the hello that it was to confirm came before this
        if (!state.up) (state.heard = false), missed();
        else if (!state.isHeard) // the stream does not bring what was missed before
          later("sync", page.poll * SECOND * (1 + Math.random()), sync);
      }
      state.syncing = null;
      if (state.again) sync();
      return isAnswered;
    }));
  }

  async function ask() {
    if (state.mode === "stop" || !page.page) return;
    const { everything, adopt } = state;
    state.isHeard = false;
    const answer = await fetch(page.url + "sync/", { method: "POST", signal: AbortSignal.timeout(15 * SECOND),
      headers: { "Content-Type": "application/json", "X-Live-Page": page.page, "X-CSRFToken": csrf() },
      body: JSON.stringify({ adopt, words: all("[data-live-word]").map((elt) => elt.dataset.liveWord),
        hidden: doc.hidden, poll: everything || !state.up,
        number: everything ? "" : page.number,
        roots: all(ROOT).map(({ dataset: { live, liveRev, liveState } }) => ({ live, rev: +liveRev, state: liveState })),
        streams: Object.fromEntries(all("[data-live-stream]").map((elt) => [elt.id, elt.dataset.liveAt])) }) });
    const [partials, messages = "[]"] = (await answer.text()).split(/<script [^>]*data-live-messages>/);
    const { status, headers } = answer, number = headers.get("X-Live-Number");
    if (/40[134]|410/.test(status)) return refuse(headers.get("X-Live-Refused") || status, pauseOf(answer));
    if (!answer.ok || answer.redirected) return;
    Object.assign(state, { isHeard: true, everything: false, adopt: [], calm: status === 204 ? state.calm + 1 : 0 });
    if (partials) await apply(partials);
    if (!state.up && number) page.number = number;
    for (const { event, data } of JSON.parse(messages.replace("</script>", ""))) receive(event, data);
    if (headers.get("X-Live-Remounted")) remounted(false, headers.get("X-Live-Lost"));
    return true;
  }

  // ---- Words for the user: every text is in the template #live-messages

  const part = (name) =>
    all(`[data-live-part~="${name}"]`, all("#live-messages")[0]?.content || doc.head)[0]?.cloneNode(true);
  const isWeb = (url) => /^http/.test(resolved(url).protocol);

  /** Says what a status means; `what` is the field's name or the error's id. */
  function tell(status, flight, what = "") {
    const toast = part(status) || part("other"), text = toast?.querySelector("[data-live-text]");
    if (!emit("error", { status, handler: flight?.handler, detail: what }, flight?.trigger) || !text) return;
    text.textContent = text.textContent.replace("{}", what).trim();
    if (flight) retries.set(toast, flight);
    raise(toast, "status-" + status);
  }

  /** Says once that views were mounted again, if that cost the user an action or a part of what the page showed. */
  function remounted(isRefused, hasLost) {
    const said = (status) => all(`.live-toast[data-key=status-${status}]`)[0], unanswered = said("none");
    drop("status-none");
    if (isRefused || unanswered) drop("status-restarted"), tell("remounted");
    else if (hasLost && !said("remounted")) tell("restarted");
  }

  function notice(about) {
    const { message, level, key, url, id } = about, toast = part(level) || part("info");
    if (!message) return drop(key); // the id of one that was seen in another tab
    if (!emit("notice", about) || !toast) return;
    toast.id = id || "";
    const text = toast.querySelector("[data-live-text]"), link = doc.createElement("a");
    text.append(url && isWeb(url) ? link : message);
    link.href = url;
    link.append(message);
    raise(toast, key);
  }

  /** Shows a toast, in the place of the one with the same key. */
  function raise(toast, key = "") {
    drop(key);
    toast.dataset.key = key;
    (all("[data-live-toasts]")[0] || doc.body.appendChild(part("toasts"))).append(toast);
  }

  const drop = (key) => key && all(".live-toast").forEach((old) => [old.id, old.dataset.key].includes(key) && old.remove());

  // ---- htmx and the page's life

  /** What plain htmx loads joins the page. An hx-headers that was sent to many has an empty CSRF token. */
  function namePage(headers, url, body) {
    if (!page.page || resolved(url).origin !== location.origin) return;
    headers["X-Live-Page"] = page.page;
    if (headers["X-CSRFToken"] === "") headers["X-CSRFToken"] = csrf();
    if (body?.has?.(TOKEN)) body.set(TOKEN, csrf()); // Django reads it before the header
  }

  const extension = {
    init: (inside) => void (api = inside),
    htmx_config_request(elt, { ctx }) {
      const { request } = ctx;
      namePage(request.headers, request.action, request.body);
      if (!ctx.live && !elt.matches(TRIGGER)) return;
      ctx.live ||= flightOf(elt, ctx.sourceEvent, request.body);
      ctx.target = html; // 4.0.1 drops an answer whose target is gone
      if (!api.attributeValue(elt, "hx-sync")) delete elt._htmx_state?.rq;
      ctx.fetch = (url, init) => fly(ctx.live, url, init, ctx);
    },
    htmx_before_request(elt, { ctx }) {
      if (!ctx.live) return;
      state.flights.add(ctx.live);
      paint();
    },
    htmx_after_request: (elt, { ctx }) => answered(ctx),
    htmx_finally_request(elt, { ctx }) {
      if (ctx.live) land(ctx.live);
    },
    htmx_before_swap: (elt, { ctx, tasks }) => sift(ctx, tasks),
    htmx_before_morph_node: (old, { newNode }) =>
      !state.swapping || !old.dataset || !newNode.dataset || morph(old, newNode),
    htmx_before_morph_attr: (elt, { attrName }) => !(state.swapping && attrName === "open" && elt.matches(OPENS)),
    htmx_before_settle: (target) => (state.swapping ? settle(target) : paint()),
    htmx_after_process(target) {
      for (const elt of all(OPENS, target)) state.served.has(elt) || state.served.set(elt, elt.open);
      paint();
    },
  };

  function register() {
    if (!api) win.htmx?.registerExtension?.("htmx-live", extension);
  }

  // The grants of this page are kept for the same page after a reload or on the way back.
  const shelf = () => "live:" + location.pathname + location.search;
  const keep = () => memory(shelf(), JSON.stringify(all(ROOT).map((elt) => elt.dataset.live)));

  function start() {
    const [{ type }] = /** @type {any[]} */ ([...performance.getEntriesByType("navigation"), {}]);
    register();
    html.classList.add("live-ready");
    extension.htmx_after_process(doc.body);
    for (const elt of all("[data-live-word]")) state.words.add(elt.dataset.liveWord);
    new MutationObserver(arrive).observe(doc, { childList: true, subtree: true });
    if (/reload|back/.test(type)) state.adopt = JSON.parse(memory(shelf()) || "[]");
    // A stream that is open before would bring renders of roots that are not on the page yet.
    Promise.resolve(state.adopt[0] && sync()).then(open);
  }

  const on = (target, type, run) => target.addEventListener(type, run);
  on(doc, "visibilitychange", () => {
    clearTimeout(timers.sleep);
    if (!doc.hidden) return open();
    keep();
    later("sleep", page.hiddenClose * SECOND, () => {
      sync();
      clearTimeout(timers.open);
      close();
    });
  });
  on(win, "pagehide", () => (keep(), close()));
  on(win, "pageshow", (event) => event.persisted && open());
  on(win, "online", () => (paint(), state.up || doc.hidden || (close(), open())));
  on(win, "offline", () => (paint(), state.stream?.abort()));
  on(win, "load", register);
  // htmx 2 brings cards, regions and toasts too; htmx 4 has other names for these events.
  on(doc, "htmx:configRequest", ({ detail }) => api || namePage(detail.headers, detail.path, detail.formData));
  on(doc, "htmx:afterRequest", ({ detail }) => api || readHeaders((name) => detail.xhr.getResponseHeader("X-Live-" + name)));
  on(doc, "htmx:abort", ({ target }) => {
    for (const one of state.flights) if (one.trigger === target) one.isAborted = true;
  });
  on(doc, "click", ({ target }) => {
    const button = target.closest?.("[data-live-do]"), toast = button?.closest(".live-toast");
    if (!button) return;
    const wanted = button.dataset.liveDo, flight = retries.get(toast);
    toast?.remove();
    if (wanted === "reload") location.reload();
    if (wanted === "retry" && flight) resend(flight);
  });
  setInterval(() => {
    // The watchdog: a stream that was silent for 2.5 heartbeats is dead, whatever its socket says.
    if (Date.now() - state.fed > 2500 * page.heartbeat) state.stream?.abort();
    // A toast goes after some seconds in which it could be seen, but not from under the pointer or the focus.
    if (!doc.hidden) for (const toast of all(".live-toast:not([role=alert],:hover,:focus-within)"))
      if ((toast.age = -~toast.age) >= (toast.dataset.liveSeconds || 6)) toast.remove();
  }, SECOND);

  const mark = (how) => (name) => (state.started[how](name), paint());
  win.htmxLive = { csrf, loading: {
    start: mark("add"),
    stop: mark("delete"),
    pending: { has: (name) => activities().some((one) => isFor(one, name, "*")) },
  } };
  register();
  doc.readyState === "loading" ? on(doc, "DOMContentLoaded", start) : start();
})();

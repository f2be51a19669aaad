import assert from "node:assert/strict";
import { File } from "node:buffer";
import test from "node:test";

import { RequestQueue } from "../../static/htmx_live/src/request-queue.js";
import { Requests, submittedValue, toHex } from "../../static/htmx_live/src/requests.js";
import { settled, testClient } from "./client.mjs";
import { element, show } from "./dom.mjs";

const NONCES = [1, 2, 3].map((byte) => `0${byte}`.repeat(16));

/** A page with one live view and a trigger in it. */
function scene(trigger = element("button", { "data-live-event": "save" })) {
  const root = element("div", { id: "live-a", "data-live": "grant-a", "data-live-rev": "4" }, trigger);
  show(root);
  const client = testClient({ queue: new RequestQueue() });
  const requests = new Requests(client);
  client.requests = requests;
  const create = (type = "click", body = new FormData()) => requests.create(trigger, { type }, body);
  /** Send as htmx does; the signal is of `controller`. */
  const send = (request, controller = new AbortController(), body = new FormData()) => {
    client.queue.add(request);
    return requests.send(
      request,
      "/live/event/save/",
      { method: "POST", headers: { "HX-Request": "true" }, body, signal: controller.signal },
      {},
    );
  };
  return { client, requests, root, trigger, create, send, sent: client.browser.requests };
}

const field = (attributes) => element("input", { type: "text", "data-live-event": "search", value: "", ...attributes });

test("bytes become two hex digits each", () => {
  assert.equal(toHex(Uint8Array.of(0, 9, 16, 255)), "000910ff");
});

test("a request knows its handler, its view with the grant of now, and a nonce", () => {
  const { create, trigger } = scene(
    element("button", { "data-live-event": "save", "data-live-key": "7", "data-live-args": '{"a": 1}' }),
  );
  const body = new FormData();
  const request = create("click", body);
  assert.deepEqual(request, {
    handler: "save",
    key: "7",
    args: '{"a": 1}',
    trigger,
    root: "live-a",
    grant: "grant-a",
    nonce: NONCES[0],
    isTyping: false,
    isValue: false,
  });
  assert.deepEqual([...body], [["_args", '{"a": 1}']]);
});

test("a trigger without arguments sends none", () => {
  const body = new FormData();
  scene().create("click", body);
  assert.deepEqual([...body], []);
});

test("a trigger outside of a view has none", () => {
  const { create, trigger } = scene();
  show(trigger);
  const request = create();
  assert.deepEqual([request.root, request.grant], [undefined, undefined]);
});

test("a control without a name sends its value, a check box whether it is ticked", () => {
  const values = [
    Object.assign(field({}), { type: "text", value: "typed" }),
    Object.assign(field({}), { type: "checkbox", value: "on", checked: true }),
    Object.assign(element("button", { value: "7" }), { value: "7" }),
    element("button", {}),
    Object.assign(field({}), { name: "q", type: "text", value: "typed" }),
  ].map((trigger) => {
    const body = new FormData();
    scene(trigger).create("click", body);
    return body.get("value");
  });
  assert.deepEqual(values, ["typed", "true", "7", null, null]);
});

test("keystrokes and ticks supersede each other; what comes from a field carries its value", () => {
  const types = ["input", "keyup", "every", "change", "search", "click", "reinput"];
  const { create } = scene(field({}));
  assert.deepEqual(
    types.map((type) => create(type).isTyping),
    [true, true, true, false, false, false, false],
  );
  assert.deepEqual(
    types.map((type) => create(type).isValue),
    [true, true, false, true, true, false, false],
  );
  assert.equal(scene().create("change").isValue, false);
});

test("the headers name the view as the page has it now", async () => {
  const { send, create, root, sent } = scene();
  const request = create();
  root.dataset.live = "newer-grant";
  root.dataset.liveRev = "5";
  send(request);
  await settled();
  assert.deepEqual(
    [sent[0].url, sent[0].init.headers],
    [
      "/live/event/save/",
      {
        "HX-Request": "true",
        "X-Live": "newer-grant",
        "X-Live-Rev": "5",
        "X-Live-Nonce": NONCES[0],
        "X-CSRFToken": "token",
      },
    ],
  );
  assert.equal(request.isSent, true);
});

test("a view that has gone is named by the grant of the click, and no view by none", async () => {
  const { send, create, root, sent } = scene();
  const request = create();
  root.remove();
  send(request);
  send({ ...request, root: "live-b", grant: undefined });
  await settled();
  assert.deepEqual(
    sent.map(({ init }) => [init.headers["X-Live"], init.headers["X-Live-Rev"]]),
    [
      ["grant-a", "0"],
      ["", "0"],
    ],
  );
});

test("waiting does not count for the time limit", async () => {
  const { client, send, create, requests } = scene();
  const first = create();
  send(first);
  const second = create();
  send(second);
  await settled();
  assert.deepEqual(
    client.called("htmx").map(([call]) => call),
    ["htmx.stopTimeout", "htmx.stopTimeout", "htmx.restartTimeout"],
  );
  requests.settle(first);
  await settled();
  assert.deepEqual(client.called("htmx.restartTimeout").length, 2);
});

test("a request that is superseded while it waits is answered here, and changes nothing", async () => {
  const { send, create, sent, requests, client } = scene(field({}));
  send(create("click"));
  const older = create("input");
  const answered = send(older);
  send(create("input"));
  assert.equal((await answered).status, 204);
  requests.settle(older);
  assert.deepEqual([sent.length, older.isSent, client.called("toasts")], [1, undefined, []]);
});

test("one that is aborted while it waits was not sent", async () => {
  const { send, create } = scene();
  const controller = new AbortController();
  send(create());
  const second = create();
  send(second, controller).catch(() => {});
  controller.abort();
  await settled();
  assert.equal(second.isSent, false);
});

test("it waits until it is known which view a reloaded page shows", async () => {
  let known;
  const { client, send, create, sent } = scene();
  client.sync.reattached = () => new Promise((resolve) => (known = resolve));
  send(create());
  await settled();
  assert.equal(sent.length, 0);
  known();
  await settled();
  assert.equal(sent.length, 1);
});

test("files go by the module that shows how far they are, or plainly if it cannot be loaded", async () => {
  const { client, send, create, sent, trigger, requests } = scene();
  const body = new FormData();
  const calls = [];
  body.set("file", new File(["x"], "a.txt"));
  const first = create();
  send(first, undefined, body);
  await settled();
  assert.equal(sent.length, 1);
  requests.settle(first);
  client.browser.modules["upload.js"] = { send: (...args) => calls.push(args) };
  send(create(), undefined, body);
  await settled();
  assert.deepEqual([sent.length, calls[0][0], calls[0][2]], [1, "/live/event/save/", trigger]);
  calls[0][3]();
  assert.equal(client.called("htmx.restartTimeout").length, 3);
});

test("an empty file field is no file", async () => {
  const { client, send, create, sent } = scene();
  const body = new FormData();
  body.set("file", new File([], ""));
  client.browser.modules["upload.js"] = { send: () => assert.fail("loaded") };
  send(create(), undefined, body);
  await settled();
  assert.equal(sent.length, 1);
});

test("its end lets the next one go, swaps what waited and ends the loading state", () => {
  const { client, requests, create } = scene();
  const request = Object.assign(create(), { isSent: true, isAnswered: true });
  client.queue.add(request);
  requests.settle(request);
  assert.deepEqual([[...client.queue], client.calls], [[], [["fragments.flushDeferred"], ["refresh"]]]);
});

test("one that was sent and not answered asks for a sync, and offers to try again", () => {
  const { client, requests, create } = scene();
  const request = Object.assign(create(), { isSent: true });
  requests.settle(request);
  assert.deepEqual(client.calls.slice(0, 2), [["sync.request"], ["toasts.showError", "none", request]]);
});

test("one that the page aborted offers nothing, and one that was not sent asks nothing", () => {
  const { client, requests, create } = scene();
  requests.settle(Object.assign(create(), { isSent: true, isAborted: true }));
  requests.settle(create());
  assert.deepEqual([client.called("sync").length, client.called("toasts")], [1, []]);
});

test("it is sent again under the same nonce if it may have run, and under another one if it was answered", () => {
  const { client, requests, create } = scene();
  const request = create();
  requests.resend({ ...request, isSent: true });
  requests.resend({ ...request, isSent: true, isAnswered: true, isRepeated: true });
  const posted = client
    .called("htmx.post")
    .map(([, { nonce, isSent, isAnswered, isRepeated }]) => [nonce, isSent, isAnswered, isRepeated]);
  assert.deepEqual(posted, [
    [NONCES[0], false, false, undefined],
    [NONCES[1], false, false, true],
  ]);
});

test("a repeated request keeps its address and its body", async () => {
  const { client, requests, create, send, sent } = scene();
  const body = new FormData();
  const request = create();
  body.set("a", "1");
  send(request, undefined, body);
  await settled();
  requests.settle(request);
  requests.resend(request);
  const [[, again]] = client.called("htmx.post");
  client.queue.add(again);
  requests.send(again, "/elsewhere/", { headers: {}, body: new FormData(), signal: new AbortController().signal }, {});
  await settled();
  assert.deepEqual([sent[1].url, [...sent[1].init.body]], ["/live/event/save/", [["a", "1"]]]);
});

test("what a field submits is its value, or of a box its value while it is ticked", () => {
  const values = [
    { type: "text", name: "q", value: "a" },
    { type: "text", name: "", value: "a" },
    { type: "checkbox", name: "c", checked: true, value: "red" },
    { type: "checkbox", name: "c", checked: false, value: "red" },
    { type: "checkbox", name: "", checked: false, value: "red" },
    { type: "radio", name: "r", checked: true, value: "b" },
  ].map(submittedValue);
  assert.deepEqual(values, ["a", "a", "red", null, "false", "b"]);
});

/** A lost keystroke in a field that now has `value`. */
function lost(value, changes = {}) {
  const body = new FormData();
  const at = scene(Object.assign(field({}), { name: "q", type: "text", value }));
  body.set("q", "typed");
  return { ...at, request: Object.assign(at.create("input"), { body, isSent: true }, changes) };
}

test("a value that got no answer is sent again when the server answers, once", () => {
  const { client, requests, request } = lost("typed");
  requests.settle(request);
  assert.deepEqual(client.called("toasts"), []);
  requests.repeatUnanswered();
  requests.repeatUnanswered();
  const [[, again], ...more] = client.called("htmx.post");
  assert.deepEqual([again.nonce, again.isRepeated, more], [request.nonce, true, []]);
  requests.settle({ ...again, isSent: true });
  requests.repeatUnanswered();
  assert.deepEqual([client.called("htmx.post").length, client.called("toasts").length], [1, 1]);
});

test("a value that the user has changed since is not sent: the change has an event of its own", () => {
  const { client, requests, request } = lost("typed more");
  assert.equal(requests.repeat(request), true);
  assert.deepEqual(client.called("htmx"), []);
});

test("the value of a field without a name is found, too", () => {
  const { client, requests, request } = lost("typed");
  request.trigger.name = "";
  request.body.set("value", "typed");
  requests.repeat(request);
  assert.equal(client.called("htmx.post").length, 1);
});

for (const [reason, changes] of [
  ["a click", { isValue: false }],
  ["a second time", { isRepeated: true }],
  ["an aborted one", { isAborted: true }],
])
  test(`the user decides about ${reason}`, () => {
    const { client, requests, request } = lost("typed", changes);
    assert.deepEqual([requests.repeat(request), client.called("htmx")], [false, []]);
  });

test("the user decides about a field that has gone, unless the page aborted its request", () => {
  const { client, requests, request, trigger } = lost("typed");
  trigger.remove();
  requests.settle(request);
  requests.settle(lost("typed", { isAborted: true }).request);
  requests.repeatUnanswered();
  assert.deepEqual(client.called("toasts"), [["toasts.showError", "none", request]]);
});

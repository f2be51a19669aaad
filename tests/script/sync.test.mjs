import assert from "node:assert/strict";
import test from "node:test";

import { Sync, splitAnswer } from "../../static/htmx_live/src/sync.js";
import { answer, settled, testClient } from "./client.mjs";
import { element, openBy, openTab, show } from "./dom.mjs";

function scene(...answers) {
  show();
  const client = testClient();
  const sync = new Sync(client);
  client.sync = sync;
  client.browser.answers = answers;
  const questions = () => client.browser.requests.map(({ init }) => JSON.parse(init.body));
  return { client, sync, browser: client.browser, questions };
}

/** An answer that comes when the test says so. */
function later() {
  let come;
  const promise = new Promise((resolve) => (come = resolve));
  return { promise, come: async (response) => (come(response), await settled()) };
}

test("the question names what the page shows and where it is", async () => {
  const { client, sync, browser, questions } = scene(answer(204));
  document.body.append(
    element(
      "div",
      { id: "live-a", "data-live": "grant-a", "data-live-rev": "3", "data-live-state": "s" },
      element("span", { id: "log", "data-live-stream": "log", "data-live-offset": "a1.2" }),
    ),
    element("div", { "data-live-subscription": "word" }),
  );
  assert.equal(await sync.request(), true);
  assert.deepEqual(questions(), [
    {
      subscriptions: ["word"],
      roots: [{ live: "grant-a", rev: 3, state: "s" }],
      streams: { log: "a1.2" },
      adopt: [],
      hidden: false,
      poll: true,
      number: "e.1",
    },
  ]);
  const [{ url, init }] = browser.requests;
  assert.deepEqual(
    [url, init.method, init.headers, init.signal],
    [
      "/live/sync/",
      "POST",
      { "Content-Type": "application/json", "X-Live-Page": "grant", "X-CSRFToken": "token" },
      "abort after 15000 ms",
    ],
  );
  assert.deepEqual(client.calls, [["reachability.confirm"]]);
});

test("a page with an open stream does not poll, and keeps the stream's position", async () => {
  const { client, sync, questions } = scene(answer(200, { "X-Live-Number": "e.9" }, "<p>"));
  client.connection.isConnected = true;
  await sync.request();
  assert.deepEqual([questions()[0].poll, client.page.number], [false, "e.1"]);
});

test("a page that polls takes the position of the answer, if it has one", async () => {
  const { client, sync } = scene(answer(200, { "X-Live-Number": "e.9" }), answer(204));
  await sync.request();
  await sync.request();
  assert.equal(client.page.number, "e.9");
});

test("an answer has partials and messages", () => {
  const text =
    '<hx-partial>a</hx-partial><script type="application/json" data-live-messages>[{"event": "append", "data": "{}"}]</script>';
  assert.deepEqual(splitAnswer(text), {
    partials: "<hx-partial>a</hx-partial>",
    messages: [{ event: "append", data: "{}" }],
  });
  assert.deepEqual(splitAnswer("<p>"), { partials: "<p>", messages: [] });
  assert.deepEqual(splitAnswer(""), { partials: "", messages: [] });
});

test("partials are applied before the messages are received", async () => {
  const text =
    '<p><script data-live-messages>[{"event": "append", "data": "1"}, {"event": "notice", "data": "2"}]</script>';
  const { client, sync } = scene(answer(200, {}, text));
  await sync.request();
  assert.deepEqual(client.calls, [
    ["fragments.apply", "<p>"],
    ["messages.receive", "append", "1"],
    ["messages.receive", "notice", "2"],
    ["reachability.confirm"],
  ]);
});

test("while one request is on its way others wait, as one", async () => {
  const first = later();
  const { sync, browser } = scene(first.promise, answer(204));
  const promises = [sync.request(), sync.request(), sync.request()];
  assert.deepEqual([browser.requests.length, promises[1] === promises[2]], [1, true]);
  await first.come(answer(204));
  assert.deepEqual([browser.requests.length, sync.running], [2, null]);
});

test("a request alone is asked once", async () => {
  const { sync, browser } = scene(answer(204), answer(204));
  await sync.request();
  await settled();
  assert.equal(browser.requests.length, 1);
});

test("polls without news are counted, and the first with news ends the count", async () => {
  const { client, sync } = scene(answer(204), answer(204), answer(200, {}, "<p>"));
  await sync.request();
  await sync.request();
  assert.equal(client.polling.idlePolls, 2);
  await sync.request();
  assert.equal(client.polling.idlePolls, 0);
});

test("after a reset it asks for everything, until that is answered", async () => {
  const { sync, questions } = scene(new Error("cut"), answer(204), answer(204));
  await sync.requestEverything();
  await sync.request();
  await sync.request();
  assert.deepEqual(
    questions().map(({ number, poll }) => [number, poll]),
    [
      ["", true],
      ["", true],
      ["e.1", true],
    ],
  );
});

test("after a reset it asks for everything also while the stream is open", async () => {
  const { client, sync, questions } = scene(answer(204));
  client.connection.isConnected = true;
  await sync.requestEverything();
  assert.deepEqual([questions()[0].number, questions()[0].poll], ["", true]);
});

test("a reset that arrives during a request asks for everything after it", async () => {
  const first = later();
  const { sync, questions } = scene(first.promise, answer(204));
  sync.request();
  sync.requestEverything();
  await first.come(answer(204));
  assert.deepEqual(
    questions().map(({ number }) => number),
    ["e.1", ""],
  );
});

test("a reset that arrives during a request that fails is not forgotten", async () => {
  const first = later();
  const { sync, questions } = scene(first.promise, answer(204));
  sync.request();
  sync.requestEverything();
  await first.come(answer(503));
  assert.deepEqual(
    questions().map(({ number }) => number),
    ["e.1", ""],
  );
});

test("a failed request for everything is asked again together with what came meanwhile", async () => {
  const first = later();
  const { sync, questions } = scene(first.promise, answer(204));
  sync.requestEverything();
  sync.request();
  await first.come(answer(503));
  assert.deepEqual(
    questions().map(({ number }) => number),
    ["", ""],
  );
});

for (const failure of [new Error("cut"), answer(503), answer(429)])
  test(`without a stream, ${failure.status ?? "no answer"} is missed, and the hello before it counts for nothing`, async () => {
    const { client, sync, browser } = scene(failure);
    client.reachability.hasAnswered = true;
    assert.equal(await sync.request(), failure instanceof Error ? false : undefined);
    assert.deepEqual(
      [client.calls, client.reachability.hasAnswered],
      [[["reachability.ignoreHello"], ["reachability.miss"]], false],
    );
    assert.deepEqual([sync.isAnswered, browser.waits], [false, []]);
  });

test("with an open stream a failure is asked again after the interval to twice that", async () => {
  const { client, sync, browser } = scene(answer(503), answer(204));
  client.connection.isConnected = true;
  client.reachability.hasAnswered = true;
  browser.randomNumber = 0.5;
  await sync.request();
  assert.deepEqual(
    [client.called("reachability"), client.reachability.hasAnswered, browser.waits],
    [[["reachability.ignoreHello"]], true, [4500]],
  );
  await browser.advance(4500);
  assert.deepEqual([browser.requests.length, sync.isAnswered, browser.waits], [2, true, []]);
});

test("an answer that cannot be applied is asked for again by nothing but the next reason", async () => {
  const { client, sync, browser } = scene(answer(200, {}, "<script data-live-messages>no JSON"));
  client.connection.isConnected = true;
  assert.equal(await sync.request(), false);
  assert.equal(browser.waits.length, 1);
});

test("a page that may not ask does not try again", async () => {
  const { client, sync, browser } = scene();
  Object.assign(client.connection, { isConnected: true, isStopped: true });
  await sync.request();
  assert.deepEqual(browser.waits, []);
});

test("a redirect, to a login page for example, is no answer", async () => {
  const { client, sync } = scene(Object.defineProperty(answer(200, {}, "<p>"), "redirected", { value: true }));
  assert.equal(await sync.request(), undefined);
  assert.deepEqual(client.called("fragments"), []);
});

for (const status of [401, 403, 404, 410])
  test(`${status} refuses the page`, async () => {
    const { client, sync } = scene(answer(status));
    await sync.request();
    assert.deepEqual(client.called("connection"), [["connection.refuse", status, 0]]);
    assert.deepEqual(client.called("fragments"), []);
  });

test("a refusal says its reason, and for how long", async () => {
  const { client, sync } = scene(answer(403, { "X-Live-Refused": "csrf" }), answer(410, { "Retry-After": "30" }));
  await sync.request();
  await sync.request();
  assert.deepEqual(client.called("connection"), [
    ["connection.refuse", "csrf", 0],
    ["connection.refuse", 410, 30_000],
  ]);
});

test("a refused page, and one without a grant, ask nothing", async () => {
  const { client, sync, browser } = scene();
  client.connection.isStopped = true;
  await sync.request();
  client.connection.isStopped = false;
  client.page.page = "";
  await sync.request();
  assert.deepEqual([browser.requests, sync.isAnswered], [[], true]);
});

test("views that were mounted again are said, with what was lost", async () => {
  const { client, sync } = scene(
    answer(204, { "X-Live-Remounted": "2" }),
    answer(204, { "X-Live-Remounted": "2", "X-Live-Lost": "1" }),
    answer(204),
  );
  await sync.request();
  await sync.request();
  await sync.request();
  assert.deepEqual(client.called("toasts"), [
    ["toasts.showRemounted", { hasLostState: false }],
    ["toasts.showRemounted", { hasLostState: true }],
  ]);
});

// What the tab remembers, and how the page was opened.
function reload(type, grants) {
  const values = openTab();
  if (grants) values.set("live:/page/?q=1", JSON.stringify(grants));
  openBy(type);
}

for (const type of ["reload", "back_forward"])
  test(`after ${type} it asks for the views of before, until that is answered`, async () => {
    const { sync, questions } = scene(new Error("cut"), answer(204), answer(204));
    reload(type, ["grant-b"]);
    await sync.reattach();
    await sync.request();
    await sync.request();
    assert.deepEqual(
      questions().map(({ adopt }) => adopt),
      [["grant-b"], ["grant-b"], []],
    );
  });

test("a page that is opened anew, or that had no views, asks nothing", async () => {
  const { sync, browser } = scene();
  for (const [type, grants] of [
    ["navigate", ["grant-b"]],
    ["", ["grant-b"]],
    ["reload", null],
    ["reload", []],
  ]) {
    reload(type, grants);
    await sync.reattach();
  }
  assert.equal(browser.requests.length, 0);
});

test("events wait until it is known which views a reloaded page shows", async () => {
  const first = later();
  const { sync } = scene(first.promise);
  const order = [];
  reload("reload", ["grant-b"]);
  sync.reattach().then(() => order.push("reattach"));
  sync.reattached().then(() => order.push("event"));
  await settled();
  assert.deepEqual(order, []);
  await first.come(answer(204));
  assert.deepEqual(order.sort(), ["event", "reattach"]);
});

test("events do not wait for an ordinary sync", async () => {
  const { sync } = scene(new Promise(() => {}));
  sync.request();
  assert.equal(await sync.reattached(), undefined);
});

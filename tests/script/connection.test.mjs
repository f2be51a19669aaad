import assert from "node:assert/strict";
import test from "node:test";

import { Connection, isSilent, reconnectDelay } from "../../static/htmx_live/src/connection.js";
import { answer, settled, testClient } from "./client.mjs";
import { show } from "./dom.mjs";

/** A stream that a test writes to. */
function stream() {
  const transform = new TransformStream();
  const writer = transform.writable.getWriter();
  const encoder = new TextEncoder();
  const response = new Response(transform.readable, {
    headers: { "Content-Type": "text/event-stream; charset=utf-8" },
  });
  const send = async (text) => {
    await writer.write(encoder.encode(text));
    await settled();
  };
  const end = async () => {
    await writer.close();
    await settled();
  };
  return { response, send, end };
}

/** An open connection, with the answers that the server will give. */
async function open(...answers) {
  show();
  const client = testClient();
  const connection = new Connection(client);
  client.connection = connection;
  client.messages = { receive: (event, data) => client.calls.push(["receive", event, data]) };
  client.browser.answers = answers;
  connection.open();
  await settled();
  return { client, connection, browser: client.browser };
}

test("the time before an attempt doubles from 0.25 to 2 s, and after eight attempts up to 30 s", () => {
  const delays = [0, 1, 2, 3, 4, 7, 8, 20].map((attempt) => reconnectDelay(attempt, 1));
  assert.deepEqual(delays, [250, 500, 1000, 2000, 2000, 2000, 30_000, 30_000]);
});

test("it is spread over half of it", () => {
  assert.deepEqual([reconnectDelay(2, 0), reconnectDelay(2, 0.5)], [500, 750]);
});

test("a stream is silent after more than 2.5 heartbeats", () => {
  assert.deepEqual([isSilent(137_500, 100_000, 15), isSilent(137_501, 100_000, 15)], [false, true]);
});

test("the request names the page and its position, and nothing stores the answer", async () => {
  const { browser } = await open();
  const [{ url, init }] = browser.requests;
  assert.deepEqual(
    [url, init.cache, init.headers],
    ["/live/stream/", "no-store", { Accept: "text/event-stream", "X-Live-Page": "grant", "Last-Event-ID": "e.1" }],
  );
});

test("a page without a position has an empty one", async () => {
  const { connection, browser, client } = await open(new Error("cut"));
  delete client.page.number;
  connection.open();
  await settled();
  assert.equal(browser.requests[1].init.headers["Last-Event-ID"], "");
});

test("a page without a grant opens no stream", async () => {
  const client = testClient();
  const connection = new Connection(client);
  client.page.page = "";
  await connection.open();
  assert.equal(client.browser.requests.length, 0);
});

test("a second call opens no second stream", async () => {
  const { connection, browser } = await open();
  await connection.open();
  assert.equal(browser.requests.length, 1);
});

test("messages are received in order, and the position is that of the last", async () => {
  const { response, send } = stream();
  const { client } = await open(response);
  await send("id: e.2\ndata: one\n\nid: e.3\nevent: notice\nda");
  assert.equal(client.page.number, "e.2");
  await send("ta: {}\n\n: \nid: e.4\n\n");
  assert.deepEqual(client.called("receive"), [
    ["receive", "", "one"],
    ["receive", "notice", "{}"],
  ]);
  assert.equal(client.page.number, "e.4");
});

test("characters that are cut in two arrive whole", async () => {
  const { response } = stream();
  const encoded = new TextEncoder().encode("data: é\n\n");
  const body = new ReadableStream({
    start: (controller) => [encoded.slice(0, 7), encoded.slice(7)].forEach((part) => controller.enqueue(part)),
  });
  const { client } = await open(new Response(body, { headers: response.headers }));
  assert.deepEqual(client.called("receive"), [["receive", "", "é"]]);
});

test("hello connects: it ends polling, resets the back-off and takes the server's heartbeat", async () => {
  const { client, connection } = await open();
  client.polling.idlePolls = 7;
  connection.welcome(20);
  assert.deepEqual([connection.isConnected, client.polling.idlePolls, client.page.heartbeat], [true, 0, "20"]);
  assert.deepEqual(client.calls, [["polling.stop"], ["reachability.confirmAfterHello"]]);
  assert.deepEqual(document.events, [["live:connected", null]]);
});

test("a hello without a heartbeat leaves the page's", async () => {
  const { client, connection } = await open();
  connection.welcome(undefined);
  assert.equal(client.page.heartbeat, "15");
});

test("a stream that breaks off is missed, polled for, and opened again after the back-off", async () => {
  const { response, end } = stream();
  const { client, browser } = await open(response);
  await end();
  assert.deepEqual(client.calls, [["reachability.miss"], ["polling.schedule"]]);
  assert.deepEqual(browser.waits, [125]);
  await browser.advance(125);
  assert.equal(browser.requests.length, 2);
});

test("each failure doubles the wait, until a hello", async () => {
  const { response, end } = stream();
  const { browser, connection } = await open(new Error(), new Error(), response);
  await browser.advance(125);
  assert.deepEqual(browser.waits, [250]);
  await browser.advance(250);
  connection.welcome(15);
  await end();
  assert.deepEqual(browser.waits, [125]);
});

test("bye opens a new stream within a second, and nothing is missed", async () => {
  const { response, send } = stream();
  const { client, browser } = await open(response);
  browser.randomNumber = 0.5;
  await send("event: bye\ndata: {}\n\ndata: late\n\n");
  assert.deepEqual([client.calls, browser.waits], [[], [500]]);
  await browser.advance(500);
  assert.equal(browser.requests.length, 2);
});

for (const status of [401, 404])
  test(`${status} asks for a sync, whose answer says which refusal it is`, async () => {
    const { client } = await open(answer(status));
    assert.deepEqual(client.calls, [["sync.request"], ["reachability.miss"], ["polling.schedule"]]);
  });

test("500 is a failure like any other", async () => {
  const { client, browser } = await open(answer(500));
  assert.deepEqual([client.calls, browser.waits], [[["reachability.miss"], ["polling.schedule"]], [125]]);
});

test("204 says that there are no streams: the page polls, and opens none", async () => {
  const { client, connection, browser } = await open(answer(204));
  assert.deepEqual([connection.isWithoutStreams, client.calls, browser.waits], [true, [["polling.schedule"]], []]);
  await connection.open();
  connection.reopenSoon();
  assert.deepEqual([browser.requests.length, browser.waits], [1, []]);
});

test("a page that is no stream is a failure", async () => {
  const { client } = await open(answer(200, { "Content-Type": "text/html" }, "data: x\n\n"));
  assert.deepEqual(client.called("receive"), []);
  assert.deepEqual(client.called("reachability"), [["reachability.miss"]]);
});

test("a stream's headers with another status are no stream", async () => {
  const { client } = await open(answer(500, { "Content-Type": "text/event-stream" }, "data: x\n\n"));
  assert.deepEqual(client.called("receive"), []);
});

test("403 refuses the page for good", async () => {
  const { client, connection, browser } = await open(answer(403));
  assert.deepEqual(client.calls, [
    ["loading.forgetJobs"],
    ["reachability.setOffline", false],
    ["refresh"],
    ["toasts.showError", 403],
  ]);
  await browser.advance(100_000);
  await connection.open();
  assert.deepEqual([connection.isStopped, browser.requests.length], [true, 1]);
});

test("410 refuses it for half a minute", async () => {
  const { client, connection, browser } = await open(answer(410));
  assert.deepEqual(client.called("toasts"), [["toasts.showError", "unshared"]]);
  await browser.advance(29_999);
  assert.deepEqual([connection.isStopped, browser.requests.length], [true, 1]);
  await browser.advance(1);
  assert.deepEqual([connection.isStopped, browser.requests.length], [false, 2]);
});

test("a refusal closes a stream that is open", async () => {
  const { connection, browser } = await open(stream().response);
  connection.welcome(15);
  connection.refuse(403);
  assert.deepEqual([connection.isConnected, browser.requests[0].init.signal.aborted], [false, true]);
});

test("a refusal forgets that there were no streams", async () => {
  const { connection } = await open(answer(204));
  connection.refuse(410, 1000);
  assert.equal(connection.isWithoutStreams, false);
});

test("a refused page is not opened when the server answers again", async () => {
  const { connection, browser } = await open(answer(403));
  connection.reopenSoon();
  assert.deepEqual(browser.waits, []);
});

test("when the server answers again, the page does not wait for its next attempt", async () => {
  const { connection, browser } = await open(new Error(), new Error(), new Error(), new Error());
  await browser.advance(125);
  await browser.advance(250);
  browser.randomNumber = 0.1;
  connection.reopenSoon();
  assert.deepEqual(browser.waits, [100]);
  await browser.advance(100);
  assert.deepEqual(browser.waits, [137.5]); // the back-off begins anew
});

test("an open stream, or a hidden page, is not opened again", async () => {
  const { connection, browser } = await open(new Error());
  browser.hidden = true;
  connection.reopenSoon();
  connection.reconnect();
  browser.hidden = false;
  connection.isConnected = true;
  connection.reopenSoon();
  connection.reconnect();
  assert.deepEqual([browser.waits, browser.requests.length], [[125], 1]);
});

test("a network that is back replaces a stream that says nothing yet", async () => {
  const { connection, browser } = await open();
  connection.reconnect();
  await settled();
  assert.deepEqual([browser.requests.length, browser.requests[0].init.signal.aborted, browser.waits], [2, true, []]);
});

test("closing ends the stream, and nothing follows", async () => {
  const { client, connection, browser } = await open(stream().response);
  connection.welcome(15);
  client.reachability.hasAnswered = true;
  connection.close();
  await settled();
  assert.deepEqual([connection.isConnected, client.reachability.hasAnswered, browser.waits], [false, false, []]);
  assert.deepEqual(client.called("reachability.miss"), []);
});

test("closing a stream that was never open forgets no answer", async () => {
  const { client, connection } = await open();
  client.reachability.hasAnswered = true;
  connection.close();
  assert.equal(client.reachability.hasAnswered, true);
});

test("a suspended page opens no stream by itself", async () => {
  const { connection, browser } = await open(new Error());
  connection.suspend();
  await browser.advance(100_000);
  assert.equal(browser.requests.length, 1);
  connection.open();
  assert.equal(browser.requests.length, 2);
});

test("opening at once replaces an attempt that was planned", async () => {
  const { connection, browser } = await open(new Error());
  connection.open();
  assert.deepEqual([browser.requests.length, browser.waits], [2, []]);
});

test("the watchdog ends a silent stream, which is opened again", async () => {
  const { response, send } = stream();
  const { connection, browser } = await open(response);
  await browser.advance(30_000);
  await send(": \n\n");
  await browser.advance(37_500);
  connection.watch();
  assert.equal(browser.requests[0].init.signal.aborted, false);
  await browser.advance(1);
  connection.watch();
  assert.equal(browser.requests[0].init.signal.aborted, true);
});

test("a request that gets no answer at all is silent, too, and is a failure", async () => {
  const { client, connection, browser } = await open();
  await browser.advance(37_501);
  connection.watch();
  await settled();
  assert.deepEqual([client.called("reachability"), browser.waits], [[["reachability.miss"]], [125]]);
});

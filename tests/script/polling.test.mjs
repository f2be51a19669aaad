import assert from "node:assert/strict";
import test from "node:test";

import { Polling, pollDelay } from "../../static/htmx_live/src/polling.js";
import { testClient } from "./client.mjs";
import { element, show } from "./dom.mjs";

function scene(connection = {}) {
  show();
  const client = testClient();
  const polling = new Polling(client);
  Object.assign(client.connection, connection);
  return { client, polling, browser: client.browser };
}

const runJob = () => document.body.append(element("div", { "data-live": "g", "data-live-pending": "save:save" }));

test("polls come ever later while nothing is new, up to four times the interval", () => {
  const delays = [0, 1, 4, 12, 13].map((idlePolls) => pollDelay({ interval: 3000, idlePolls, isJobRunning: false }));
  assert.deepEqual(delays, [3000, 3750, 6000, 12_000, 12_000]);
});

test("while a job runs they come every half second, or more often where the interval is shorter", () => {
  assert.equal(pollDelay({ interval: 3000, idlePolls: 8, isJobRunning: true }), 500);
  assert.equal(pollDelay({ interval: 100, idlePolls: 0, isJobRunning: true }), 100);
});

test("it goes on until the stream is open", async () => {
  const { client, polling, browser } = scene();
  polling.schedule();
  await browser.advance(6000);
  assert.equal(client.called("sync.request").length, 2);
  client.connection.isConnected = true;
  await browser.advance(3000);
  assert.deepEqual([client.called("sync.request").length, browser.waits], [3, []]);
});

test("a refused page is polled for no more", async () => {
  const { client, polling, browser } = scene();
  polling.schedule();
  client.connection.isStopped = true;
  await browser.advance(3000);
  assert.deepEqual(browser.waits, []);
});

test("a hidden page does not ask, and goes on once it is seen", async () => {
  const { client, polling, browser } = scene();
  browser.hidden = true;
  polling.schedule();
  await browser.advance(3000);
  assert.deepEqual([client.called("sync"), browser.waits], [[], [3000]]);
});

test("polls without news are counted by the sync, and slow the next one down", async () => {
  const { polling, browser } = scene();
  polling.idlePolls = 4;
  polling.schedule();
  assert.deepEqual(browser.waits, [6000]);
});

test("scheduling again replaces the earlier poll, and stopping ends it", () => {
  const { polling, browser } = scene();
  polling.schedule();
  polling.schedule();
  assert.deepEqual(browser.waits, [3000]);
  polling.stop();
  assert.deepEqual(browser.waits, []);
});

test("where there are no streams, a job that begins quickens the polls, and its end slows them down", () => {
  const { polling, browser } = scene({ isWithoutStreams: true });
  polling.schedule();
  runJob();
  polling.update();
  assert.deepEqual(browser.waits, [500]);
  document.body.children[0].dataset.livePending = "";
  polling.update();
  assert.deepEqual(browser.waits, [3000]);
});

test("a running card of progress counts as a job", () => {
  const { polling, browser } = scene({ isWithoutStreams: true });
  document.body.append(element("div", { "data-live-progress": "s", "data-status": "running" }));
  polling.update();
  assert.deepEqual(browser.waits, [500]);
});

test("nothing is planned anew while nothing has changed", async () => {
  const { polling, browser } = scene({ isWithoutStreams: true });
  polling.schedule();
  await browser.advance(1000);
  polling.update();
  assert.deepEqual(browser.waits, [2000]);
});

test("a page that has streams does not hurry: the stream will bring what the job does", () => {
  const { polling, browser } = scene();
  runJob();
  polling.update();
  assert.deepEqual(browser.waits, []);
  polling.schedule();
  assert.deepEqual(browser.waits, [3000]);
});

test("a server that did not answer is not asked more often because of a job", () => {
  const { client, polling, browser } = scene({ isWithoutStreams: true });
  client.sync.isAnswered = false;
  runJob();
  polling.update();
  assert.deepEqual(browser.waits, [3000]);
});

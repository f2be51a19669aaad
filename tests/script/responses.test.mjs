import assert from "node:assert/strict";
import test from "node:test";

import { Responses, isForeign, retryDelay } from "../../static/htmx_live/src/responses.js";
import { answer, testClient } from "./client.mjs";

const PARTIAL = '<hx-partial hx-target="#live-a"></hx-partial>';

/** Read an answer to an event. */
function read(
  status,
  headers = {},
  { text = PARTIAL, live = { handler: "save", root: "live-a" }, redirected = false, page, repeats, hx = {} } = {},
) {
  const client = testClient();
  const response = answer(status, headers, text);
  Object.assign(client.page, page);
  if (repeats) client.requests = { repeat: () => repeats };
  const context = { live, text, hx, response: { status, headers: response.headers, raw: { redirected } } };
  new Responses(client).read(context);
  return { client, context, request: live, calls: client.calls };
}

const succeeded = (request) => [["reachability.confirm"], ["toasts.dismissRetries", request]];

test("an answer to a request of plain htmx is read for its headers alone", () => {
  const { context, calls } = read(
    500,
    { "X-Live-Notices": '[{"message": "Hello"}]', "X-Live-Url": "push /x/" },
    { live: null },
  );
  assert.deepEqual([calls, context.text, context.hx], [[["toasts.showNotice", { message: "Hello" }]], PARTIAL, {}]);
});

test("a push is read as little", () => {
  const { request, calls } = read(200, {}, { live: {} });
  assert.deepEqual([request, calls], [{}, []]);
});

test("partials mean success", () => {
  const { request, context, calls } = read(200);
  assert.deepEqual([calls, context.text], [succeeded(request), PARTIAL]);
  assert.deepEqual([request.isAnswered, request.resetsForms], [true, false]);
});

test("204 means success, too", () => {
  const { request, calls } = read(204, {}, { text: "" });
  assert.deepEqual(calls, succeeded(request));
});

test("an answer may reset forms and set the address", () => {
  const { request, context } = read(200, { "X-Live-Reset-Forms": "1", "X-Live-Url": "replace /orders/?page=2" });
  assert.deepEqual([request.resetsForms, context.hx], [true, { replaceurl: "/orders/?page=2" }]);
});

for (const [status, headers, detail] of [
  [422, { "X-Live-Field": "year" }, "year"],
  [500, { "X-Live-Error": "838a1075" }, "838a1075"],
  [400, {}, ""],
])
  test(`${status} is said with ${detail || "no detail"}, and its text is never swapped`, () => {
    const { request, context, calls } = read(status, headers);
    assert.deepEqual([calls, context.text], [[["toasts.showError", status, request, detail]], ""]);
    assert.equal(request.isAnswered, true);
  });

test("399 is no error", () => {
  const { request, calls } = read(399);
  assert.deepEqual(calls, succeeded(request));
});

test("notices take the place of a status's own words", () => {
  const { calls } = read(422, { "X-Live-Notices": '[{"message": "No."}]' });
  assert.deepEqual(calls, [["toasts.showNotice", { message: "No." }]]);
});

test("a refusal by Django's CSRF check is said once, with its reason if there is one", () => {
  const { request, calls } = read(403, { "X-Live-Refused": "csrf", "X-Live-Reason": "Origin" });
  assert.deepEqual(calls, [["toasts.showError", "csrf", request, "Origin"]]);
  assert.equal(read(403, { "X-Live-Refused": "csrf" }).calls[0][3], "");
});

test("a page that lives in another process's memory is refused for some time", () => {
  const { context, calls } = read(410, { "Retry-After": "30" });
  assert.deepEqual([calls, context.text], [[["connection.refuse", 410, 30_000]], ""]);
});

test("only 410 with Retry-After is for some time", () => {
  const delays = [answer(410, { "Retry-After": "2" }), answer(410), answer(503, { "Retry-After": "2" })].map(
    retryDelay,
  );
  assert.deepEqual(delays, [2000, 0, 0]);
});

test("a login page is said as 403, and never swapped", () => {
  for (const at of [read(200, {}, { text: "<html>" }), read(200, {}, { redirected: true })])
    assert.deepEqual([at.calls, at.context.text], [[["toasts.showError", 403, at.request, ""]], ""]);
});

test("an answer without partials is ours if it goes somewhere else", () => {
  const foreign = (hx, status = 200) => isForeign({ text: "", hx, response: { status, raw: { redirected: false } } });
  assert.deepEqual(
    [foreign({}), foreign({ redirect: "/" }), foreign({ refresh: "true" }), foreign({}, 204)],
    [true, false, false, false],
  );
});

test("an event that did not run is sent again if it was a field's value, and else said", () => {
  const said = read(200, { "X-Live-Remounted": "1" }, { repeats: undefined });
  assert.deepEqual(said.calls[1], ["toasts.showRemounted", { isEventLost: true }]);
  const repeated = read(200, { "X-Live-Remounted": "1" }, { repeats: true });
  assert.deepEqual(repeated.calls, succeeded(repeated.request));
});

test("the first live view of a page brings its grant, and the stream is opened", () => {
  const headers = { "X-Live-Page": "new-grant", "X-Live-Number": "f.1", "X-Live-CSRF": "new-token" };
  const { client, calls } = read(200, headers, { page: { page: "", number: "", csrf: "" } });
  assert.deepEqual([client.page.page, client.page.number, client.page.csrf], ["new-grant", "f.1", "new-token"]);
  assert.deepEqual(calls[0], ["connection.open"]);
});

test("a page that has a position keeps it", () => {
  const { client } = read(200, { "X-Live-Page": "new-grant", "X-Live-Number": "f.1" });
  assert.equal(client.page.number, "e.1");
});

test("a grant without a position leaves it empty", () => {
  const { client } = read(200, { "X-Live-Page": "new-grant" }, { page: { number: "" } });
  assert.equal(client.page.number, "");
});

import assert from "node:assert/strict";
import test from "node:test";

import { csrfToken, identifyPage, saveGrants, savedGrants } from "../../static/htmx_live/src/page.js";
import { readTab, writeTab } from "../../static/htmx_live/src/storage.js";
import { element, openBy, openTab, show } from "./dom.mjs";

const PAGE = { page: "grant", csrf: "token", csrfCookie: "csrftoken" };

test("the token is that of the cookie, or that of the page where scripts cannot read the cookie", () => {
  assert.equal(csrfToken(PAGE, "a=1; csrftoken=now; b=2"), "now");
  assert.equal(csrfToken(PAGE, "xcsrftoken=other; csrftoken2=other"), "token");
  assert.equal(csrfToken({ csrf: "token" }, "csrftoken=now"), "token");
  assert.equal(csrfToken({}, ""), "");
});

test("of two cookies with that name the last counts", () => {
  assert.equal(csrfToken(PAGE, "csrftoken=one; csrftoken=two"), "two");
});

test("the present cookie is read", () => {
  document.cookie = "csrftoken=now";
  assert.equal(csrfToken(PAGE), "now");
  document.cookie = "";
});

/** The headers of a request of plain htmx, and its body. */
function identify(url, headers = {}, page = PAGE, fields = {}) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) body.set(name, value);
  identifyPage(page, headers, url, body);
  return [headers, Object.fromEntries(body)];
}

test("a request of plain htmx to this site names the page", () => {
  assert.deepEqual(identify("/orders/"), [{ "X-Live-Page": "grant" }, {}]);
  assert.deepEqual(identify("https://other.example/"), [{}, {}]);
  assert.deepEqual(identify("/orders/", {}, { ...PAGE, page: "" }), [{}, {}]);
});

test("an empty token becomes the present one, in the headers and in a form", () => {
  assert.equal(identify("/", { "X-CSRFToken": "" })[0]["X-CSRFToken"], "token");
  assert.equal(identify("/", { "X-CSRFToken": "own" })[0]["X-CSRFToken"], "own");
  assert.deepEqual(identify("/", {}, PAGE, { csrfmiddlewaretoken: "" })[1], { csrfmiddlewaretoken: "token" });
});

test("a request without a form is named, too", () => {
  const headers = {};
  identifyPage(PAGE, headers, "/", undefined);
  identifyPage(PAGE, headers, "/", "text");
  assert.deepEqual(headers, { "X-Live-Page": "grant" });
});

test("the grants of a page come back on the same page alone", () => {
  const values = openTab();
  openBy("reload");
  assert.deepEqual(savedGrants(), []);
  show(element("div", { "data-live": "one" }), element("div", { "data-live": "two" }));
  saveGrants();
  assert.deepEqual([[...values.keys()], savedGrants()], [["live:/page/?q=1"], ["one", "two"]]);
  openBy("navigate");
  assert.deepEqual(savedGrants(), []);
});

test("where storage is forbidden, or full, nothing is remembered", () => {
  const refuse = () => {
    throw new Error("refused");
  };
  globalThis.sessionStorage = { getItem: refuse, setItem: refuse };
  writeTab("key", "value");
  assert.equal(readTab("key"), null);
});

// @ts-check
// Sends an event with files and shows how far it is, which fetch cannot tell. Loaded for the first one.
//
//   sending (value, per cent, cancel) ──all is sent──▶ working (indeterminate) ──the request ends──▶ gone

import { UploadIndicator } from "./upload-indicator.js";

const UPLOAD = "live:upload";

/** Send a request; used in place of fetch. @param {string} url @param {any} init @param {HTMLElement} trigger
 * @param {() => void} restartTimeout starts the request's time limit anew @returns {Promise<Response>} */
export function send(url, init, trigger, restartTimeout) {
  const request = new XMLHttpRequest();
  const { signal } = init;
  const abort = () => request.abort();
  const indicator = new UploadIndicator(trigger, signal, abort);
  const show = (/** @type {number} */ sent, /** @type {number} */ total) => {
    indicator.show(sent, total);
    const event = new CustomEvent(UPLOAD, { detail: { sent, total }, bubbles: true });
    if (trigger.isConnected) trigger.dispatchEvent(event);
  };
  return new Promise((resolve, reject) => {
    request.open(init.method, url);
    for (const [name, value] of Object.entries(init.headers)) request.setRequestHeader(name, value);
    request.responseType = "blob";
    request.upload.onprogress = ({ loaded, total }) => {
      restartTimeout();
      show(loaded, total);
    };
    request.upload.onload = () => {
      restartTimeout();
      show(1, 0);
    };
    request.onload = () => resolve(toResponse(request, url));
    request.onerror = () => reject(new TypeError("The upload was cut off."));
    request.onabort = () => reject(new DOMException("The upload was cancelled.", "AbortError"));
    signal.addEventListener("abort", abort);
    show(0, 1);
    request.send(init.body);
    if (signal.aborted) abort();
  });
}

/** Return what fetch would have answered. @param {XMLHttpRequest} request @param {string} url */
function toResponse(request, url) {
  const { status, statusText, responseURL } = request;
  const body = [204, 205, 304].includes(status) ? null : request.response;
  const response = new Response(body, { status, statusText, headers: parseHeaders(request.getAllResponseHeaders()) });
  const { href } = new URL(url, document.baseURI);
  return Object.defineProperties(response, {
    url: { value: responseURL },
    redirected: { value: responseURL !== href }, // to a login page, for example
  });
}

/** @param {string} text lines of "name: value" */
export function parseHeaders(text) {
  const headers = new Headers();
  for (const line of text.split("\r\n")) {
    const [name, value] = line.split(/: ?(.*)/s);
    if (name) headers.append(name, value);
  }
  return headers;
}

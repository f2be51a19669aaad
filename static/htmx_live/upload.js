// @ts-check
// Sends an event with files and shows how far it is, which fetch cannot tell. htmx-live.js loads this for the first one.
//
//   sending (value, per cent, cancel) ──all is sent──▶ working (indeterminate) ──the request ends──▶ gone
//
// What is shown stands in the part "upload" of #live-messages, put after the file field. What of it the author has
// placed in the form, or beside it in the view, takes the place of ours. A morph may take all of it away: it comes back.

const PARTS = ["progress[data-live-upload]", "[data-live-upload-text]", "[data-live-cancel-upload]"];
const STEP = 25; // per cent, between two announcements

/** Stands in for fetch; `wait` starts the request's time limit anew.
 * @param {string} url @param {any} init @param {HTMLElement} trigger @param {() => void} wait @returns {Promise<Response>} */
export function send(url, init, trigger, wait) {
  const request = new XMLHttpRequest(), { signal } = init, abort = () => request.abort();
  const show = shown(trigger, signal, abort);
  return new Promise((resolve, reject) => {
    request.open(init.method, url);
    for (const [name, value] of Object.entries(init.headers)) request.setRequestHeader(name, value);
    request.responseType = "blob";
    request.upload.onprogress = ({ loaded, total }) => (wait(), show(loaded, total));
    request.upload.onload = () => (wait(), show(1, 0));
    request.onload = () => resolve(answer(request, url));
    request.onerror = () => reject(new TypeError("The upload was cut off."));
    request.onabort = () => reject(new DOMException("The upload was cancelled.", "AbortError"));
    signal.addEventListener("abort", abort);
    show(0, 1);
    request.send(init.body);
    if (signal.aborted) abort();
  });
}

/** What fetch would have answered. @param {XMLHttpRequest} request @param {string} url */
function answer(request, url) {
  const { status, statusText, responseURL } = request, headers = new Headers();
  for (const line of request.getAllResponseHeaders().split("\r\n")) {
    const [name, value] = line.split(/: ?(.*)/s);
    if (name) headers.append(name, value);
  }
  const body = [204, 205, 304].includes(status) ? null : request.response;
  const { href } = new URL(url, document.baseURI);
  return Object.defineProperties(new Response(body, { status, statusText, headers }), {
    url: { value: responseURL },
    redirected: { value: responseURL !== href }, // to a login page, for example
  });
}

/** Returns a function that shows how much is sent; a total of 0 says that all is. Ends with the request of `signal`.
 * @param {HTMLElement} trigger @param {AbortSignal} signal @param {() => void} abort */
function shown(trigger, signal, abort) {
  const messages = /** @type {HTMLTemplateElement} */ (document.getElementById("live-messages"));
  const source = messages?.content.querySelector("[data-live-part~=upload]");
  const ours = /** @type {HTMLElement} */ (source?.cloneNode(true) || document.createElement("div"));
  let sent = 0, total = 1, announced = 0;

  /** The author's, in the form or in the view but in no other form. @param {string} selector @returns {any} */
  function theirs(selector) {
    const form = trigger.closest("form"), view = trigger.closest("[data-live]") || document.body;
    const fits = (/** @type {Element} */ elt) => !ours.contains(elt) && [null, form].includes(elt.closest("form"));
    return [...(form?.querySelectorAll(selector) || []), ...view.querySelectorAll(selector)].find(fits);
  }

  /** @param {string} text */
  const say = (text) => (text || "").replace("{}", `${Math.floor((100 * sent) / total)}`);

  function paint() {
    if (!trigger.isConnected) return;
    const fields = trigger.matches("[type=file]") ? [trigger] : trigger.closest("form")?.querySelectorAll("[type=file]");
    const field = [...(fields || [])].find((/** @type {any} */ one) => one.files.length) || trigger;
    if (!ours.isConnected) (field.closest("fieldset[data-live-disable],label") || field).after(ours);
    const [bar, text, cancel] = PARTS.map((selector) => {
      const own = ours.querySelector(selector), found = theirs(selector);
      if (found) own?.remove();
      return found || own;
    });
    for (const elt of [bar, text]) elt?.classList.add("live-on");
    cancel?.classList.toggle("live-on", total > 0); // what has arrived is not called back
    if (bar) total ? ((bar.max = total), (bar.value = sent)) : bar.removeAttribute("value");
    const { sending = "{} %", working = "" } = source?.querySelector(PARTS[1])?.dataset || {};
    if (text) text.textContent = total ? say(sending) : working;
    announce();
  }

  function announce() {
    const status = /** @type {HTMLElement | null} */ (ours.querySelector("[role=status]"));
    const step = total ? Math.floor((100 * sent) / total / STEP) : 100 / STEP + 1;
    if (!status || step <= announced) return;
    announced = step;
    status.textContent = total ? say(status.dataset.sending || "") : status.dataset.working || "";
  }

  /** @param {any} event */
  function stop({ target }) {
    const button = target.closest?.(PARTS[2]);
    if (!button || (button !== theirs(PARTS[2]) && !ours.contains(button))) return;
    trigger.dispatchEvent(new CustomEvent("htmx:abort", { bubbles: true })); // not the network's fault
    abort();
  }

  /** @param {any} event */
  function end({ detail }) {
    if (detail?.ctx?.request.signal !== signal) return;
    for (const [type, run] of listeners) document.removeEventListener(type, run);
    for (const selector of PARTS) if (trigger.isConnected) theirs(selector)?.classList.remove("live-on");
    ours.remove();
  }

  /** @type {[string, (event: any) => void][]} */
  const listeners = [["click", stop], ["live:applied", paint], ["htmx:finally:request", end]];
  for (const [type, run] of listeners) document.addEventListener(type, run);
  return (/** @type {number} */ loaded, /** @type {number} */ all) => {
    [sent, total] = [loaded, all];
    paint();
    const detail = { sent, total };
    if (trigger.isConnected) trigger.dispatchEvent(new CustomEvent("live:upload", { detail, bubbles: true }));
  };
}

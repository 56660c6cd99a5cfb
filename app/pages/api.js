/** The service: JSON in, JSON out. The browser sends the cookie; no script ever sees the key again. */

import { h } from "./dom.js";

/** What the service answers when it refuses (RFC 9457). */
export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail || `The service answered ${status}.`);
    this.status = status;
    this.title = body?.title || "Something went wrong";
    this.errors = body?.errors || [];
  }
}

/** Told when the service does not know us, or no longer. */
export const signedOut = new EventTarget();

/** Ask for something. */
export function get(path, signal) {
  return call("GET", path, undefined, { signal });
}

/** Ask for all items of a list, a page after another, up to a number. */
export async function getAll(path, most, signal) {
  const found = [];
  let cursor = null;
  do {
    const page = await get(`${path}?limit=200${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`, signal);
    found.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor && found.length < most);
  return found;
}

/** Send something; with `key` it is done once, however often it is sent. */
export function post(path, body, { signal, key } = {}) {
  return call("POST", path, body, { signal, headers: key ? { "Idempotency-Key": key } : {} });
}

/** Remove something. */
export function remove(path, headers) {
  return call("DELETE", path, undefined, { headers });
}

/** A name for one request. */
export function requestKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Show a problem: what is wrong, and everything else that is. */
export function problemBox(problem) {
  const more = (problem.errors || []).filter((each) => each.message && each.message !== problem.message);
  return h(
    "div",
    { class: "notice bad", role: "alert" },
    h("strong", {}, problem.title || "Something went wrong"),
    h("p", {}, problem.message),
    more.length > 0 &&
      h(
        "ul",
        {},
        more.map((each) => h("li", {}, told(each))),
      ),
  );
}

function told(error) {
  return error.field && !error.message.includes(error.field) ? `${error.field}: ${error.message}` : error.message;
}

async function call(method, path, body, { signal, headers = {} } = {}) {
  const request = { method, signal, headers: { Accept: "application/json", ...headers }, credentials: "same-origin" };
  if (body !== undefined) {
    request.body = JSON.stringify(body);
    request.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(path, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { title: "The service cannot be reached", detail: "It did not answer. Is it running?" });
  }
  const text = await answer.text();
  const found = text && /json/.test(answer.headers.get("Content-Type") || "") ? JSON.parse(text) : null;
  if (answer.ok) return found;
  if (answer.status === 401) signedOut.dispatchEvent(new Event("now"));
  throw new Problem(answer.status, found);
}

/**
 * A file sent in parts, so that it goes on where it was cut (tus 1.0). The upload is begun under a name made of the
 * file's own: whoever chooses the same file again, after a reload or in another window, goes on with the same upload.
 */

import { Problem, requestKey } from "./api.js";

const PART_BYTES = 4 * 2 ** 20;
const VERSION = { "Tus-Resumable": "1.0.0" };
const PART = "application/offset+octet-stream";
const NAME_CHARS = 100;
/** Between attempts that bring nothing; after the last of them it is left to the user. */
const WAITS_MS = [300, 1000, 2000, 4000, 8000, 15000, 30000];
/** Another request of this upload is being answered: that of a connection that was cut, as a rule. */
const HELD = [409, 423];
/** Answers that another attempt may change: nobody answers, too slow, too many, broken, ... */
const FOR_NOW = [0, 408, 429, 500, 502, 503, 504, ...HELD];
const GONE = [404, 410];

/** The connection stays cut: what was sent is kept, and sending the same file again goes on with it. */
export class Cut extends Error {}

/**
 * Send a file; return the path of the dataset that it became. Throws Problem where it is refused, Cut.
 * @param {File} file
 * @param {Object<string, string>} said how it is to be read; what is empty is inferred
 * @param {{onSent: function(number), onCut: function()}} listeners bytes that have gone; and that a cut is waited out
 */
export async function send(file, said, { onSent, onCut }) {
  const told = metadata({ filename: file.name, ...said });
  const name = nameOf(file, told);
  const way = { file, told, name, onSent, place: null, kept: 0, tries: 0 };
  for (;;) {
    try {
      way.place = way.place || (await begin(way));
      return await goOn(way);
    } catch (problem) {
      if (GONE.includes(problem.status) && way.name === name) {
        // Refused before, expired, or its dataset was deleted: begun anew.
        Object.assign(way, { place: null, name: requestKey(), kept: 0 });
        continue;
      }
      if (!FOR_NOW.includes(problem.status)) throw problem;
      if (way.tries === WAITS_MS.length) throw new Cut();
      onCut();
      await wait(WAITS_MS[way.tries]);
      if (!HELD.includes(problem.status)) way.tries += 1;
    }
  }
}

/** Begin an upload, or find the one that was begun under this name: where it is. */
async function begin({ file, told, name }) {
  const headers = { "Upload-Length": String(file.size), "Upload-Metadata": told, "Idempotency-Key": name };
  const answer = await ask("POST", "/v1/uploads", headers);
  return answer.getResponseHeader("Location");
}

/** Send what is not there yet. */
async function goOn(way) {
  let answer = await ask("HEAD", way.place);
  while (!answer.getResponseHeader("FastMTL-Dataset")) {
    const offset = Number(answer.getResponseHeader("Upload-Offset"));
    if (offset > way.kept) Object.assign(way, { kept: offset, tries: 0 });
    way.onSent(offset);
    const part = way.file.slice(offset, offset + PART_BYTES); // an empty one after the last asks what became of it
    const headers = { "Upload-Offset": String(offset), "Content-Type": PART };
    answer = await ask("PATCH", way.place, headers, part, (bytes) => way.onSent(offset + bytes));
  }
  return answer.getResponseHeader("FastMTL-Dataset");
}

/** Ask with XMLHttpRequest: fetch does not tell how much has gone. */
function ask(method, path, headers = {}, body = null, onSent = () => {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, path);
    for (const [name, value] of Object.entries({ ...VERSION, ...headers })) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => onSent(event.loaded));
    request.addEventListener("loadend", () => {
      if (request.status >= 200 && request.status < 300) resolve(request);
      else reject(new Problem(request.status, parsed(request.responseText)));
    });
    request.send(body);
  });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function metadata(fields) {
  const given = Object.entries(fields).filter(([, value]) => value !== "");
  return given.map(([name, value]) => `${name} ${base64(value)}`).join(",");
}

/** A name that the same file, read in the same way, always has. */
function nameOf(file, told) {
  const signs = told.replace(/[ ,]/g, ".");
  const cut = signs.length > NAME_CHARS ? `${signs.slice(0, NAME_CHARS)}.${hash(signs)}` : signs;
  return `page-${cut}-${file.size}-${file.lastModified}`;
}

/** FNV-1a: it need only tell names apart that begin alike. */
function hash(text) {
  let found = 0x811c9dc5;
  for (const sign of text) found = Math.imul(found ^ sign.charCodeAt(0), 0x01000193) >>> 0;
  return found.toString(16);
}

function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

function wait(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** A file on its way in: dropped or chosen, sent with progress; what is wrong with it is shown at its row. */

import { requestKey, signedOut } from "./api.js";
import { h, replace, say } from "./dom.js";
import { count, many, size } from "./format.js";

const LOOKED_AT_BYTES = 16 * 2 ** 20;
/** Of the file on this machine, to show the lines that the service names. */
const LINE_CHARS = 200;

/** The box; `onDone` is called when a dataset was made. */
export function uploadBox(onDone) {
  const told = h("div", { class: "stack" });
  const input = h("input", { type: "file", id: "file", multiple: true, accept: ".csv,.tsv,.jsonl,.parquet,.txt" });
  const take = async (files) => {
    for (const file of files) await upload(file, told, onDone);
    input.value = "";
  };
  input.addEventListener("change", () => take([...input.files]));
  const box = h(
    "div",
    { class: "drop" },
    h("label", { for: "file", class: "main button" }, "Choose files"),
    input,
    h("p", {}, "or drop them here"),
    h(
      "p",
      { class: "help" },
      "CSV, TSV, JSONL or Parquet, with a header. Columns called text, sentence1 and sentence2, premise and ",
      "hypothesis, label and the like are found by their names.",
    ),
  );
  listen(box, take);
  return h("section", { class: "panel", "aria-label": "Upload" }, h("h2", {}, "Upload"), box, told);
}

function listen(box, take) {
  for (const name of ["dragenter", "dragover"]) {
    box.addEventListener(name, (event) => {
      event.preventDefault();
      box.classList.add("over");
    });
  }
  for (const name of ["dragleave", "drop"]) box.addEventListener(name, () => box.classList.remove("over"));
  box.addEventListener("drop", (event) => {
    event.preventDefault();
    take([...event.dataTransfer.files]);
  });
}

async function upload(file, told, onDone) {
  const bar = h("progress", { max: "1", value: "0", "aria-label": `Upload of ${file.name}` });
  const state = h("span", { class: "muted" }, "0 %");
  const line = h("div", { class: "sending" }, h("span", {}, file.name), bar, state);
  told.append(line);
  say(`Sending ${file.name}`);
  const answer = await send(file, (done) => {
    bar.value = done;
    state.textContent = done < 1 ? `${Math.floor(100 * done)} % of ${size(file.size)}` : "being read";
  });
  if (answer.status === 201) {
    const made = answer.body;
    const link = h("a", { href: `#/datasets/${made.id}` }, made.name);
    replace(line, h("div", { class: "notice good" }, link, `: ${many(made.rows, "row")}`));
    say(`${made.name} is there, with ${many(made.rows, "row")}`);
    await onDone();
  } else {
    if (answer.status === 401) signedOut.dispatchEvent(new Event("now"));
    replace(line, await refused(file, answer.body));
    line.className = "";
  }
}

/** Send with XMLHttpRequest: fetch does not tell how much has gone. */
function send(file, onProgress) {
  return new Promise((resolve) => {
    const form = new FormData();
    form.append("file", file);
    const request = new XMLHttpRequest();
    request.open("POST", "/v1/datasets");
    request.setRequestHeader("Idempotency-Key", requestKey());
    request.upload.addEventListener("progress", (event) => event.total && onProgress(event.loaded / event.total));
    request.addEventListener("loadend", () => resolve({ status: request.status, body: parsed(request.responseText) }));
    request.send(form);
  });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return { title: "The upload was cut off", detail: "The service did not answer; nothing was kept. Try again." };
  }
}

/** What is wrong: every problem at its row, with the line as it stands in the file. */
async function refused(file, problem) {
  const errors = (problem.errors || []).filter((each) => each.row !== null && each.row !== undefined);
  const lines = await linesOf(file, errors);
  return h(
    "div",
    { class: "notice bad", role: "alert" },
    h("strong", {}, `${file.name}: ${problem.title}`),
    errors.length === 0 && h("p", {}, problem.detail),
    errors.length > 0 &&
      h(
        "ol",
        { class: "wrong" },
        errors.map((each) => wrong(each, lines.get(each.line))),
      ),
    h("p", { class: "help" }, "Nothing was kept. Correct the file and send it again."),
  );
}

function wrong(error, line) {
  const place = [`row ${count(error.row)}`, error.line && `line ${count(error.line)} of the file`].filter(Boolean);
  return h(
    "li",
    {},
    h("b", {}, place.join(", ")),
    line !== undefined && h("code", { class: "line" }, line || "(an empty line)"),
    h("span", {}, error.message),
  );
}

async function linesOf(file, errors) {
  const wanted = new Set(errors.map((each) => each.line).filter(Boolean));
  if (wanted.size === 0 || /\.parquet$/i.test(file.name)) return new Map();
  const text = await file.slice(0, LOOKED_AT_BYTES).text();
  const lines = text.split(/\r\n|\r|\n/);
  const whole = file.size <= LOOKED_AT_BYTES ? lines.length : lines.length - 1;
  const shown = [...wanted].filter((number) => number <= whole);
  return new Map(shown.map((number) => [number, short(lines[number - 1])]));
}

function short(line) {
  return line.length > LINE_CHARS ? `${line.slice(0, LINE_CHARS)}…` : line;
}

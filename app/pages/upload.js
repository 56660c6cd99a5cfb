/** A file on its way in: dropped or chosen, sent with progress; what is wrong with it is shown at its row. */

import { get, signedOut } from "./api.js";
import { h, replace, say } from "./dom.js";
import { choice, line as textLine } from "./fields.js";
import { count, many, size } from "./format.js";
import { Cut, send } from "./tus.js";

const LOOKED_AT_BYTES = 16 * 2 ** 20;
/** Of the file on this machine, to show the lines that the service names. */
const LINE_CHARS = 200;
const GUESSED = "as the labels look";
const KINDS = {
  [GUESSED]: "Few labels are classes, many numbers are to be predicted.",
  classification: "A label is a class.",
  regression: "A label is a number.",
};

/** Told when a dataset was made, or an upload was left unfinished. */
export const changed = new EventTarget();

/** What became of the files that were sent, and how far the others are: uploads go on whatever view one goes to. */
const lines = h("div", { class: "stack" });
signedOut.addEventListener("now", () => replace(lines));
const being = new Set();

/** Whether this window is sending a file of this name and length. */
export function isBeingSent(name, bytes) {
  return [...being].some((file) => file.name === name && file.size === bytes);
}

/** What is said of the files that are sent next, by the names that the service has for it; empty ones it infers. */
const said = { text_a: "", text_b: "", label: "", kind: "" };
const reading = readingBox();

/** The box. */
export function uploadBox() {
  const input = h("input", { type: "file", id: "file", multiple: true, accept: ".csv,.tsv,.jsonl,.parquet,.txt" });
  const take = async (files) => {
    input.value = "";
    for (const file of files) await upload(file);
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
  return h("section", { class: "panel", "aria-label": "Upload" }, h("h2", {}, "Upload"), box, reading, lines);
}

function readingBox() {
  const put = (name) => (value) => (said[name] = value);
  const column = (label, name, help) => textLine(label, { help, maxlength: "500" }, put(name));
  return h(
    "details",
    { class: "reading" },
    h("summary", {}, "How the files are to be read"),
    h(
      "div",
      { class: "stack" },
      column("Column of the text", "text_a", "Empty: found by its name."),
      column("Column of the second text", "text_b", "Of pairs. Empty: found by its name, if there is one."),
      column("Column of the label", "label", "Empty: found by its name."),
      choice("Kind", KINDS, GUESSED, (kind) => (said.kind = kind === GUESSED ? "" : kind)),
    ),
  );
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

async function upload(file, line = lines.appendChild(h("div"))) {
  const bar = h("progress", { max: "1", value: "0", "aria-label": `Upload of ${file.name}` });
  const state = h("span", { class: "muted" }, "0 %");
  replace(line, h("div", { class: "sending" }, h("span", {}, file.name), bar, state));
  say(`Sending ${file.name}`);
  const onSent = (bytes) => {
    const done = file.size > 0 ? bytes / file.size : 1;
    bar.value = done;
    state.textContent = done < 1 ? `${Math.floor(100 * done)} % of ${size(file.size)}` : "being read";
  };
  const onCut = () => {
    if (bar.value < 1) state.textContent = `cut off at ${Math.floor(100 * bar.value)} %, trying again`;
  };
  being.add(file);
  try {
    const made = await get(await send(file, said, { onSent, onCut }));
    const link = h("a", { href: `#/datasets/${made.id}` }, made.name);
    replace(line, h("div", { class: "notice good" }, link, `: ${many(made.rows, "row")}`));
    say(`${made.name} is there, with ${many(made.rows, "row")}`);
  } catch (problem) {
    if (problem.status === 401) signedOut.dispatchEvent(new Event("now"));
    const again = () => upload(file, line);
    replace(line, problem instanceof Cut ? interrupted(file, again) : await refused(file, problem, again));
  }
  being.delete(file);
  changed.dispatchEvent(new Event("now"));
}

function interrupted(file, again) {
  return h(
    "div",
    { class: "notice warn", role: "alert" },
    h("strong", {}, `${file.name}: the connection stays cut`),
    h("p", {}, "What was sent is kept for a day. It goes on from there when the service answers again."),
    button("Go on", again),
  );
}

/** What is wrong: every problem at its row, with the line as it stands in the file. */
async function refused(file, problem, again) {
  const unknown = problem.errors.some((each) => each.row === null && each.field in said);
  if (unknown) reading.open = true;
  const errors = problem.errors.filter((each) => each.row !== null && each.row !== undefined);
  const found = await linesOf(file, errors);
  return h(
    "div",
    { class: "notice bad", role: "alert" },
    h("strong", {}, `${file.name}: ${problem.title}`),
    errors.length === 0 && whole(problem),
    errors.length > 0 &&
      h(
        "ol",
        { class: "wrong" },
        errors.map((each) => wrong(each, found.get(each.line))),
      ),
    unknown
      ? h("p", {}, "Name the columns above, or in the file; then ", button("send it again", again), ".")
      : h("p", { class: "help" }, "Nothing was kept. Correct the file and send it again."),
  );
}

/** What is wrong with the file as a whole. */
function whole(problem) {
  if (problem.errors.length < 2) return h("p", {}, problem.message);
  return h(
    "ul",
    {},
    problem.errors.map((each) => h("li", {}, each.message)),
  );
}

function button(text, click) {
  return h("button", { type: "button", on: { click } }, text);
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
  const found = text.split(/\r\n|\r|\n/);
  const whole = file.size <= LOOKED_AT_BYTES ? found.length : found.length - 1;
  const shown = [...wanted].filter((number) => number <= whole);
  return new Map(shown.map((number) => [number, short(found[number - 1])]));
}

function short(line) {
  return line.length > LINE_CHARS ? `${line.slice(0, LINE_CHARS)}…` : line;
}

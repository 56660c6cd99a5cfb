/** The chosen rows, sorted, filtered and paged by the service; why each was chosen; and the best of those left. */

import { get, problemBox } from "./api.js";
import { h, newId, replace, say } from "./dom.js";
import { count, many, score } from "./format.js";
import { ROLES } from "./states.js";
import { cell } from "./table.js";

const AT_ONCE = 25;
const WAIT_MS = 300;
const SORTS = { rank: "Rank", score: "Score", percentile: "Percentile", dataset: "Dataset", row: "Row" };

/** The section. */
export function rowsSection(job, signal) {
  const state = {
    job,
    signal,
    which: "chosen",
    dataset: "",
    text: "",
    sort: "rank",
    descending: false,
    offset: 0,
    asked: 0,
    note: h("p", { class: "muted", hidden: true }),
    place: h("div", { "aria-busy": "true" }),
    paging: h("div", { class: "paging" }),
  };
  load(state);
  return h(
    "section",
    { class: "panel stack", "aria-label": "Rows" },
    h("h2", {}, "The rows"),
    filters(state),
    state.note,
    state.place,
    state.paging,
  );
}

function filters(state) {
  const keys = state.job.datasets.filter((each) => each.role === ROLES.auxiliary).map((each) => each.key);
  const which = h(
    "select",
    {},
    h("option", { value: "chosen" }, "chosen"),
    h("option", { value: "below" }, "not chosen, best first"),
  );
  const dataset = h(
    "select",
    {},
    h("option", { value: "" }, "all datasets"),
    keys.map((each) => h("option", { value: each }, each)),
  );
  const text = h("input", { type: "search", maxlength: "200", placeholder: "any text" });
  const again = (change) => {
    change();
    state.offset = 0;
    load(state);
  };
  which.addEventListener("change", () => {
    text.disabled = which.value === "below";
    again(() => (state.which = which.value));
  });
  dataset.addEventListener("change", () => again(() => (state.dataset = dataset.value)));
  let timer = null;
  text.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => again(() => (state.text = text.value)), WAIT_MS);
  });
  return h("div", { class: "filters" }, labelled("Rows", which), labelled("Of", dataset), labelled("Holding", text));
}

function labelled(label, input) {
  input.id = newId("rows");
  return h("span", { class: "pair" }, h("label", { for: input.id }, label), input);
}

async function load(state) {
  state.asked += 1;
  const mine = state.asked;
  state.place.setAttribute("aria-busy", "true");
  try {
    const page = await get(address(state), state.signal);
    if (mine !== state.asked) return;
    draw(state, page);
    say(`${many(page.total, "row")}, from ${count(page.offset + 1)} on.`);
  } catch (problem) {
    if (!state.signal.aborted && mine === state.asked) replace(state.place, problemBox(problem));
  }
  state.place.setAttribute("aria-busy", "false");
}

function address(state) {
  const asked = new URLSearchParams({ offset: String(state.offset), limit: String(AT_ONCE) });
  if (state.dataset) asked.set("dataset", state.dataset);
  if (state.which === "below") return `/v1/jobs/${state.job.id}/rows/below?${asked}`;
  if (state.text) asked.set("text", state.text);
  asked.set("sort", state.sort);
  asked.set("descending", String(state.descending));
  return `/v1/jobs/${state.job.id}/rows?${asked}`;
}

function draw(state, page) {
  state.note.hidden = state.which === "chosen";
  if (state.which === "below") replace(state.note, left(state, page.above_cut));
  const focused = state.place.contains(document.activeElement) ? document.activeElement.dataset.sort : null;
  if (page.items.length === 0) {
    replace(state.place, h("p", { class: "muted" }, "No such row."));
  } else {
    const columns = columnsOf(state, page);
    const body = page.items.flatMap((row) => lines(row, columns));
    replace(
      state.place,
      h(
        "div",
        { class: "scroll" },
        h(
          "table",
          { class: "cards rows" },
          h("caption", { class: "unseen" }, state.which === "below" ? "Rows that were not chosen" : "Chosen rows"),
          h(
            "thead",
            {},
            h(
              "tr",
              {},
              columns.map((each) => head(state, each)),
            ),
          ),
          h("tbody", {}, body),
        ),
      ),
    );
  }
  if (focused) state.place.querySelector(`[data-sort="${focused}"]`)?.focus();
  drawPaging(state, page);
}

/** What the rows are that were not chosen: below a cut only where the selector went by the score alone. */
function left(state, above) {
  if (above === 0) return "These lie just below the cut: no row that could be chosen and was not scores higher.";
  return [
    `${count(above)} of these score higher than the lowest chosen row: the selector `,
    h("code", {}, state.job.config.selector),
    " does not go by the score alone, so there is no one cut.",
  ];
}

function columnsOf(state, page) {
  const explained = page.items.some((row) => row.percentile !== null);
  const pair = page.items.some((row) => row.text_b !== null);
  return [
    state.which === "chosen" && { name: SORTS.rank, sort: "rank", kind: "number", cell: (row) => count(row.rank) },
    { name: SORTS.score, sort: "score", kind: "number", cell: (row) => score(row.score) },
    explained && {
      name: SORTS.percentile,
      sort: "percentile",
      kind: "number",
      cell: (row) => row.percentile.toFixed(1),
    },
    { name: SORTS.dataset, sort: "dataset", cell: (row) => row.dataset },
    { name: SORTS.row, sort: "row", kind: "number", cell: (row) => count(row.row) },
    { name: "Label", cell: (row) => String(row.label) },
    { name: pair ? "Texts" : "Text", kind: "wide", cell: texts },
  ].filter(Boolean);
}

function head(state, column) {
  if (!column.sort || state.which === "below") return h("th", { scope: "col", class: column.kind }, column.name);
  const here = state.sort === column.sort;
  const sort = () => {
    state.descending = here && !state.descending;
    state.sort = column.sort;
    state.offset = 0;
    load(state);
  };
  const arrow = here ? (state.descending ? " ▼" : " ▲") : "";
  return h(
    "th",
    { scope: "col", class: column.kind, "aria-sort": here ? (state.descending ? "descending" : "ascending") : "none" },
    h(
      "button",
      { type: "button", class: "sort", "data-sort": column.sort, on: { click: sort } },
      column.name,
      h("span", { "aria-hidden": "true" }, arrow),
    ),
  );
}

/** A row, and beneath it, where the service says why, the reasons. */
function lines(row, columns) {
  const line = h(
    "tr",
    {},
    columns.map((each) => cell(each, row)),
  );
  if (row.nearest.length === 0) return [line];
  const why = h(
    "details",
    { class: "why" },
    h("summary", {}, `Why row ${count(row.row)} of ${row.dataset}?`),
    reasons(row),
  );
  line.lastElementChild.append(why);
  return [line];
}

function texts(row) {
  return [
    h("span", { class: "text" }, row.text_a),
    row.text_b !== null && h("span", { class: "text second" }, row.text_b),
  ];
}

function reasons(row) {
  const share = 100 - row.percentile;
  const better = share < 0.05 ? "No row" : `${share.toFixed(1)} % of the rows`;
  const verb = share < 0.05 ? "scores" : "score";
  const near = (each) =>
    h(
      "li",
      {},
      h("b", {}, `row ${count(each.row)}, similarity ${each.similarity.toFixed(2)}, ${each.label}`),
      texts(each),
    );
  return [
    h("p", {}, `${better} of ${row.dataset} ${verb} higher. The primary's rows that say the nearest things:`),
    h("ul", { class: "near" }, row.nearest.map(near)),
  ];
}

function drawPaging(state, page) {
  const last = page.offset + page.items.length;
  const move = (by) => () => {
    state.offset = Math.max(0, state.offset + by);
    load(state);
  };
  const button = (label, by, off) => h("button", { type: "button", disabled: off, on: { click: move(by) } }, label);
  const told = page.total === 0 ? "none" : `${count(page.offset + 1)} to ${count(last)} of ${count(page.total)}`;
  replace(
    state.paging,
    button("Before", -AT_ONCE, page.offset === 0),
    h("span", {}, told),
    button("After", AT_ONCE, last >= page.total),
  );
}

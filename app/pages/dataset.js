/** One dataset: what was found in the file. */

import { get, problemBox, remove } from "./api.js";
import { histogram, labelBars } from "./bars.js";
import { h, replace } from "./dom.js";
import { count, many, moment, size } from "./format.js";
import { table } from "./table.js";
import { worries } from "./worries.js";

const LABELS_SHOWN = 20;

/** The view. */
export async function view([id], signal) {
  const [dataset, shape] = await Promise.all([
    get(`/v1/datasets/${id}`, signal),
    get(`/v1/datasets/${id}/shape`, signal),
  ]);
  return h(
    "div",
    { class: "stack" },
    h("p", { class: "crumb" }, h("a", { href: "#/datasets" }, "Datasets")),
    h("h1", {}, dataset.name),
    warnings(dataset),
    h("div", { class: "columns" }, facts(dataset), labels(dataset, shape)),
    h("section", { class: "panel" }, h("h2", {}, "Lengths"), lengths(dataset, shape)),
    h("section", { class: "panel" }, h("h2", {}, "First rows"), examples(dataset)),
    removal(dataset),
  );
}

function warnings(dataset) {
  const told = worries(dataset);
  return (
    told.length > 0 &&
    h(
      "div",
      { class: "notice warn" },
      h(
        "ul",
        {},
        told.map((each) => h("li", {}, each)),
      ),
    )
  );
}

function facts(dataset) {
  const { text_a: first, text_b: second, label } = dataset.columns;
  const told = [
    ["Rows", count(dataset.rows)],
    ["Kind", dataset.kind === "regression" ? "regression: a label is a number" : "classification: a label is a class"],
    ["Texts", second ? `pairs, from ${first} and ${second}` : `single, from ${first}`],
    ["Labels", `from ${label}`],
    ["File", `${dataset.file_format}, ${size(dataset.bytes)}`],
    ["Received", moment(dataset.created_at)],
    ["Repeated rows", count(dataset.duplicates)],
  ];
  const list = told.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);
  return h("section", { class: "panel" }, h("h2", {}, "What it is"), h("dl", { class: "facts" }, list));
}

function labels(dataset, shape) {
  const format = (value) => value.toPrecision(3);
  const chart = shape.labels
    ? histogram("Rows by label", shape.labels.edges, [{ name: "Rows", rows: shape.labels.rows, kind: "pool" }], {
        format,
        unit: "label",
      })
    : labelBars(dataset.labels.slice(0, LABELS_SHOWN), dataset.rows);
  const more = dataset.labels.length - LABELS_SHOWN;
  const rest = more > 0 && h("p", { class: "muted" }, `and ${many(more, "more label")}`);
  return h("section", { class: "panel" }, h("h2", {}, "Labels"), chart, rest);
}

function lengths(dataset, shape) {
  const { mean, median, p95, longest } = dataset.lengths;
  const format = (value) => count(Math.round(value));
  return [
    h(
      "p",
      {},
      `A row has ${format(median)} characters in the middle, ${format(mean)} on average; `,
      `of twenty rows nineteen have at most ${format(p95)}, and the longest has ${format(longest)}.`,
    ),
    histogram("Rows by length", shape.lengths.edges, [{ name: "Rows", rows: shape.lengths.rows, kind: "pool" }], {
      format,
      unit: "characters, longer rows in the last bar",
    }),
  ];
}

function examples(dataset) {
  const columns = [
    { name: "Row", cell: (each) => count(each.row), kind: "number" },
    { name: dataset.columns.text_a, cell: (each) => each.text_a, kind: "wide" },
    dataset.columns.text_b && { name: dataset.columns.text_b, cell: (each) => each.text_b, kind: "wide" },
    { name: dataset.columns.label, cell: (each) => String(each.label) },
  ];
  return table("First rows", columns.filter(Boolean), dataset.examples);
}

/** Deleting is asked for twice. */
function removal(dataset) {
  const told = h("div");
  const sure = async () => {
    try {
      await remove(`/v1/datasets/${dataset.id}`);
      location.hash = "#/datasets";
    } catch (problem) {
      replace(told, problemBox(problem));
    }
  };
  const ask = () =>
    replace(
      told,
      h("p", {}, "It cannot be had back. "),
      h("button", { type: "button", class: "bad", on: { click: sure } }, `Delete ${dataset.name} for good`),
    );
  return h(
    "div",
    { class: "removal" },
    h("button", { type: "button", class: "plain", on: { click: ask } }, "Delete"),
    told,
  );
}

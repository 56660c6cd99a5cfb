/** From where the rows came: each dataset's share of the selection beside its share of the pool. */

import { barList, numbers } from "./bars.js";
import { h } from "./dom.js";
import { count, many, percent } from "./format.js";

const TWICE = 2;
const MOST_LINES = 30;

/** The section. */
export function sharesSection(job) {
  const counts = Object.entries(job.selection.counts).map(([name, each]) => ({ name, ...each }));
  counts.sort((a, b) => b.share - a.share);
  const shown = counts.slice(0, MOST_LINES);
  const lines = shown.map((each) => ({
    name: each.name,
    bars: [
      {
        share: each.share,
        kind: "chosen",
        label: `${percent(each.share)} of the selection, ${many(each.selected, "row")}`,
      },
      {
        share: each.random_share,
        kind: "pool",
        label: `${percent(each.random_share)} of the pool, ${many(each.eligible, "row")}`,
      },
    ],
  }));
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, `From where the ${many(job.selection.budget, "row")} came`),
    h("p", {}, summary(counts)),
    h(
      "p",
      { class: "legend" },
      key("chosen", "share of the selection"),
      key("pool", "share of the pool that could be chosen"),
    ),
    barList("Shares by dataset", lines),
    counts.length > shown.length &&
      h("p", { class: "muted" }, `${counts.length - shown.length} more stand among the numbers.`),
    numbers("Shares by dataset", counts, COLUMNS),
  );
}

const COLUMNS = [
  { name: "Dataset", cell: (each) => each.name },
  { name: "Rows", cell: (each) => count(each.rows), kind: "number" },
  { name: "Seen in training", cell: (each) => count(each.seen), kind: "number" },
  { name: "Leaks", cell: (each) => count(each.leaked), kind: "number" },
  { name: "Could be chosen", cell: (each) => count(each.eligible), kind: "number" },
  { name: "Chosen", cell: (each) => count(each.selected), kind: "number" },
];

function summary(counts) {
  const [first] = counts;
  const times = first.random_share > 0 ? first.share / first.random_share : 0;
  const more = times >= TWICE ? `, ${times.toFixed(1)} times its share of the pool` : "";
  const none = counts.filter((each) => each.selected === 0).map((each) => each.name);
  const rest = none.length > 0 ? ` Nothing was chosen from ${none.join(", ")}.` : "";
  return `Most come from ${first.name}: ${percent(first.share)}${more}.${rest}`;
}

/** A colour and what it stands for. */
export function key(kind, text) {
  return h("span", { class: "key" }, h("span", { class: `swatch ${kind}` }), text);
}

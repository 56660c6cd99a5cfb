/** Two jobs beside one another: what both chose, and how the shares of the datasets shift. */

import { get } from "./api.js";
import { barList, numbers } from "./bars.js";
import { h } from "./dom.js";
import { count, many, percent } from "./format.js";
import { key } from "./shares.js";
import { table } from "./table.js";

/** The view. */
export async function view([first, second], signal) {
  const [ours, theirs, overlap] = await Promise.all([
    get(`/v1/jobs/${first}`, signal),
    get(`/v1/jobs/${second}`, signal),
    get(`/v1/jobs/${first}/overlap/${second}`, signal),
  ]);
  return h(
    "div",
    { class: "stack" },
    h("p", { class: "crumb" }, h("a", { href: "#/jobs" }, "Jobs")),
    h("h1", {}, `${ours.name} and ${theirs.name}`),
    common(ours, theirs, overlap),
    shifts(ours, theirs, overlap),
    differences(ours, theirs),
  );
}

function common(ours, theirs, overlap) {
  const { rows, other_rows: others, common: both, share } = overlap;
  const bar = (name, number) => ({
    name,
    bars: [{ share: both / number, kind: "chosen", label: `${percent(both / number)} also chosen by the other` }],
  });
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, "What both chose"),
    h("p", { class: "lead" }, `Both chose ${many(both, "row")}: ${percent(share)} of those that either did.`),
    barList("Rows that both chose", [
      bar(`First: ${ours.name} (${many(rows, "row")})`, rows),
      bar(`Second: ${theirs.name} (${many(others, "row")})`, others),
    ]),
  );
}

function shifts(ours, theirs, overlap) {
  const by = [...overlap.datasets].sort((a, b) => shift(b) - shift(a));
  const lines = by.map((each) => ({
    name: each.dataset,
    bars: [
      { share: each.share, kind: "chosen", label: `${percent(each.share)}, ${many(each.rows, "row")}` },
      {
        share: each.other_share,
        kind: "other",
        label: `${percent(each.other_share)}, ${many(each.other_rows, "row")}`,
      },
    ],
  }));
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, "How the shares shift"),
    h("p", { class: "legend" }, key("chosen", `first: ${ours.name}`), key("other", `second: ${theirs.name}`)),
    barList("Shares by dataset", lines),
    numbers("Shares by dataset", by, COLUMNS),
  );
}

const COLUMNS = [
  { name: "Dataset", cell: (each) => each.dataset },
  { name: "First", cell: (each) => count(each.rows), kind: "number" },
  { name: "Second", cell: (each) => count(each.other_rows), kind: "number" },
  { name: "Both", cell: (each) => count(each.common), kind: "number" },
  {
    name: "Shift of the share",
    cell: (each) => `${(100 * (each.other_share - each.share)).toFixed(1)} points`,
    kind: "number",
  },
];

function shift(each) {
  return Math.abs(each.other_share - each.share);
}

function differences(ours, theirs) {
  const names = Object.keys(ours.config).filter(
    (name) => JSON.stringify(ours.config[name]) !== JSON.stringify(theirs.config[name]),
  );
  const rows = names.map((name) => ({ name, first: told(ours.config[name]), second: told(theirs.config[name]) }));
  const columns = [
    { name: "Setting", cell: (row) => row.name },
    { name: "First", cell: (row) => row.first },
    { name: "Second", cell: (row) => row.second },
  ];
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, "What was asked for otherwise"),
    rows.length > 0
      ? table("Settings that differ", columns, rows)
      : h("p", {}, "Nothing: both have the same settings."),
  );
}

function told(value) {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

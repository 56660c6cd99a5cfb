/** What to know before trusting the figures. */

import { h } from "./dom.js";
import { count, many } from "./format.js";

/** The section; nothing where there is nothing to say. */
export function warningsSection(job, report, told) {
  const all = [...(report ? report.notes : leaks(job)), ...seen(job), ...new Set(told)];
  if (all.length === 0) return null;
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, "What to know before trusting it"),
    h(
      "ul",
      {},
      all.map((each) => h("li", {}, each)),
    ),
  );
}

function leaks(job) {
  const counts = Object.values(job.selection?.counts || {});
  const rows = counts.reduce((sum, each) => sum + each.leaked, 0);
  return rows > 0
    ? [`Auxiliary rows that also stand among the rows that are measured on, and were kept out: ${count(rows)}.`]
    : [];
}

function seen(job) {
  const counts = Object.entries(job.selection?.counts || {});
  const rows = counts.reduce((sum, [, each]) => sum + each.seen, 0);
  if (rows === 0) return [];
  const could =
    job.config.seen_rows === "include" ? "could be chosen all the same, as was asked for" : "could not be chosen";
  return [`${many(rows, "row")} trained the method that scores, so their scores are biased; they ${could}.`];
}

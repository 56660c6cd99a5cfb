/** How each dataset's rows score, and where the cut lies. */

import { get, problemBox } from "./api.js";
import { histogram } from "./bars.js";
import { h, replace } from "./dom.js";
import { key } from "./shares.js";

const MOST_CHARTS = 24;

/** The section. */
export function scoresSection(job, signal) {
  const place = h("div", { class: "stack" }, h("p", { class: "muted" }, "Being read."));
  load(job, signal, place);
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, "How the rows score"),
    h(
      "p",
      {},
      "Higher is more like the primary, in the eyes of the method. ",
      "Heights are logarithmic, so that few rows are seen beside many.",
    ),
    h(
      "p",
      { class: "legend" },
      key("pool", "all rows"),
      key("chosen", "chosen"),
      key("cut", "the lowest score that was chosen"),
    ),
    place,
  );
}

async function load(job, signal, place) {
  try {
    const found = await get(`/v1/jobs/${job.id}/scores`, signal);
    const chosen = (each) => each.chosen.reduce((sum, rows) => sum + rows, 0);
    const shown = [...found.datasets].sort((a, b) => chosen(b) - chosen(a)).slice(0, MOST_CHARTS);
    const left = found.datasets.length - shown.length;
    replace(
      place,
      shown.map((each) => chart(found, each)),
      left > 0 && h("p", { class: "muted" }, `${left} datasets of which less was chosen are not drawn.`),
    );
  } catch (problem) {
    if (!signal.aborted) replace(place, problemBox(problem));
  }
}

function chart(found, { dataset, rows, chosen }) {
  const { edges, cut } = found;
  const reach = edges[edges.length - 1] - edges[0];
  const digits = Math.min(10, Math.max(1, Math.ceil(-Math.log10(reach)) + 2));
  const layers = [
    { name: "Rows", rows, kind: "pool" },
    { name: "Chosen", rows: chosen, kind: "chosen" },
  ];
  return histogram(dataset, edges, layers, { cut, format: (value) => value.toFixed(digits), unit: "score", log: true });
}

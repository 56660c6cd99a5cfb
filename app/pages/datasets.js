/** All datasets, and the place to drop a new one. */

import { get } from "./api.js";
import { h, replace } from "./dom.js";
import { count, moment, size } from "./format.js";
import { table } from "./table.js";
import { unfinishedSection } from "./unfinished.js";
import { changed, uploadBox } from "./upload.js";

const AT_ONCE = 50;
const COLUMNS = [
  { name: "Name", cell: (each) => h("a", { href: `#/datasets/${each.id}` }, each.name), kind: "wide" },
  { name: "Rows", cell: (each) => count(each.rows), kind: "number" },
  { name: "Labels", cell: labels },
  { name: "Texts", cell: (each) => (each.columns.text_b ? "pairs" : "single") },
  { name: "File", cell: (each) => `${each.file_format}, ${size(each.bytes)}` },
  { name: "Received", cell: (each) => moment(each.created_at) },
];

/** The view. */
export async function view(_, signal) {
  const [list, unfinished] = [h("div"), h("div", { class: "place" })];
  const reload = async () => {
    const [found, left] = await Promise.all([pages(signal), unfinishedSection(signal)]);
    replace(list, found);
    replace(unfinished, left);
  };
  await reload();
  changed.addEventListener("now", () => reload().catch(() => {}), { signal });
  return h(
    "div",
    { class: "stack" },
    h("h1", {}, "Datasets"),
    h(
      "p",
      { class: "lead" },
      "Your task is the primary dataset: few labelled rows. Auxiliary datasets are larger ones of other tasks, from ",
      "which rows are chosen. Upload each as a file of its own.",
    ),
    uploadBox(),
    unfinished,
    h("section", { class: "panel", "aria-label": "Datasets" }, list),
  );
}

async function pages(signal) {
  const first = await get(`/v1/datasets?limit=${AT_ONCE}`, signal);
  if (first.items.length === 0) return h("p", { class: "muted" }, "No dataset yet.");
  const shown = [...first.items];
  const place = h("div");
  const draw = (cursor) => {
    const more = async () => {
      const next = await get(`/v1/datasets?limit=${AT_ONCE}&cursor=${encodeURIComponent(cursor)}`, signal);
      shown.push(...next.items);
      draw(next.next_cursor);
    };
    const button = cursor && h("button", { type: "button", on: { click: more } }, "Show older ones");
    replace(place, table("Datasets, newest first", COLUMNS, shown), button);
  };
  draw(first.next_cursor);
  return place;
}

function labels(dataset) {
  if (dataset.label_range) return `numbers, ${dataset.label_range[0]} to ${dataset.label_range[1]}`;
  return `${count(dataset.labels.length)} classes`;
}

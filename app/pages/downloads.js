/** What can be downloaded. */

import { get } from "./api.js";
import { h, replace } from "./dom.js";
import { size } from "./format.js";
import { table } from "./table.js";

const FIRST = {
  "report.html": "The report: one file to read offline and to send by mail",
  "subset.parquet": "The chosen rows with texts and labels, ready to train on",
  "scores.parquet": "The score of every auxiliary row",
  "explanations.parquet": "Why each row was chosen",
  "leaks.parquet": "Rows that were kept out, and what they match",
  "report.json": "All figures of the report, as JSON",
};

/** The section. */
export function downloadsSection(job, signal) {
  const place = h("div");
  load(job, signal, place);
  return h("section", { class: "panel" }, h("h2", {}, "Downloads"), place);
}

async function load(job, signal, place) {
  const found = await get(`/v1/jobs/${job.id}/artifacts`, signal).catch(() => null);
  if (!found) return;
  if (found.items.length === 0) {
    replace(place, h("p", { class: "muted" }, "Nothing yet."));
    return;
  }
  const files = Object.fromEntries(found.items.map((each) => [each.name, each]));
  const folder = `/v1/jobs/${job.id}/artifacts`;
  const main = Object.entries(FIRST).filter(([name]) => files[name]);
  replace(
    place,
    h(
      "ul",
      { class: "files" },
      job.selection &&
        h(
          "li",
          {},
          "The chosen rows, by dataset and row number: ",
          ["csv", "jsonl", "json", "parquet"].map((each) => link(`${job.links.selection}?format=${each}`, each)),
        ),
      main.map(([name, told]) => h("li", {}, link(files[name].href, name), ` ${told} (${size(files[name].bytes)})`)),
      files["figures.json"] &&
        h(
          "li",
          {},
          link(`${folder}/figures`, "figures.tar"),
          " The report's figures as SVG and PNG; the numbers behind them: ",
          link(files["figures.json"].href, "figures.json"),
        ),
      files["model/config.json"] &&
        h("li", {}, link(`${folder}/model`, "model.tar"), " The fine-tuned model, a folder that transformers loads"),
      h("li", {}, link(`${folder}/SHA256SUMS`, "SHA256SUMS"), " Digests of all files"),
    ),
    h("details", {}, h("summary", {}, `All ${found.items.length} files`), table("Files", COLUMNS, found.items)),
  );
}

const COLUMNS = [
  { name: "File", cell: (each) => link(each.href, each.name), kind: "wide" },
  { name: "Size", cell: (each) => size(each.bytes), kind: "number" },
];

function link(href, text) {
  return [h("a", { href, download: true }, text), " "];
}

/** A job's page: what came of it first, then how it came about. */

import { get } from "./api.js";
import { armsSection } from "./arms.js";
import { controls, state } from "./control.js";
import { curveSection } from "./curve.js";
import { scoresSection } from "./distributions.js";
import { h, replace, say } from "./dom.js";
import { downloadsSection } from "./downloads.js";
import { follow } from "./live.js";
import { Losses } from "./losses.js";
import { mapSection } from "./map.js";
import { rowsSection } from "./rows.js";
import { sharesSection } from "./shares.js";
import { isOver } from "./states.js";
import { stepsSection } from "./steps.js";
import { verdictSection } from "./verdict.js";
import { worries } from "./worries.js";
import { warningsSection } from "./warnings.js";

const MOST_DATASETS = 20;
/** So many are asked for what is worth knowing about them. */
const PLACES = [
  "verdict",
  "steps",
  "shares",
  "arms",
  "curve",
  "warnings",
  "losses",
  "rows",
  "scores",
  "map",
  "downloads",
  "config",
];

/** The view. */
export async function view([id], signal) {
  const page = { id, signal, job: null, report: null, warnings: [], losses: new Losses(signal), drawn: {} };
  page.state = h("div");
  page.controls = controls(id, (job) => update(page, job));
  page.places = Object.fromEntries(PLACES.map((name) => [name, h("div", { class: "place", "data-place": name })]));
  const job = await get(`/v1/jobs/${id}`, signal);
  await update(page, job);
  worry(page);
  follow(page, {
    onJob: (next) => update(page, next),
    onMetrics: (event) => page.losses.add(event),
    onWarning: (event) => warn(page, event),
  });
  return h(
    "div",
    { class: "stack" },
    h("p", { class: "crumb" }, h("a", { href: "#/jobs" }, "Jobs")),
    h("div", { class: "head" }, h("h1", {}, job.name), page.controls.element),
    page.state,
    PLACES.map((name) => page.places[name]),
  );
}

async function update(page, job) {
  const before = page.job;
  page.job = job;
  replace(page.state, state(job));
  page.controls.update(job);
  if (before && before.status !== job.status) say(`The job is ${job.status}.`);
  if (before && !before.selection && job.selection) say(`${job.selection.budget} rows are chosen.`);
  if (job.status === "succeeded" && !page.report) page.report = await report(page);
  draw(page);
}

/** Draw the parts of which something has changed. */
function draw(page) {
  const { job, report: found } = page;
  part(page, "verdict", [job.status, job.error, found], () => verdictSection(job, found));
  part(page, "steps", [job.steps], () => stepsSection(job));
  part(page, "shares", job.selection, () => sharesSection(job));
  part(page, "arms", found, () => armsSection(found));
  part(page, "curve", found, () => curveSection(found));
  part(page, "warnings", [job.selection, found, page.warnings], () => warningsSection(job, found, page.warnings));
  part(page, "losses", true, () => page.losses.element);
  const explained = job.steps.some((each) => each.kind === "explain" && each.status === "succeeded");
  part(page, "rows", job.selection && [job.selection.digest, explained], () => rowsSection(job, page.signal));
  const drawn = job.steps.some((each) => each.kind === "map" && each.status === "succeeded");
  part(page, "map", drawn, () => mapSection(job, page.signal));
  part(page, "scores", job.selection?.digest, () => scoresSection(job, page.signal));
  const finished = job.steps.filter((each) => each.status === "succeeded").length;
  part(page, "downloads", finished, () => downloadsSection(job, page.signal));
  part(page, "config", true, () => config(job));
}

function part(page, name, about, make) {
  const key = JSON.stringify(about);
  if (!about || page.drawn[name] === key) return;
  page.drawn[name] = key;
  const open = page.places[name].querySelector("details")?.open;
  replace(page.places[name], make());
  const details = page.places[name].querySelector(":scope > details");
  if (details && open !== undefined) details.open = open;
}

async function report(page) {
  return get(`/v1/jobs/${page.id}/artifacts/report.json`, page.signal).catch(() => null);
}

function warn(page, event) {
  page.warnings.push(`${event.data.step}: ${event.data.message}`);
  if (page.job) draw(page);
}

/** Say what is worth knowing about the datasets; they may have been deleted, and the page does not wait for it. */
async function worry(page) {
  const asked = page.job.datasets.slice(0, MOST_DATASETS);
  const found = await Promise.all(asked.map((each) => get(`/v1/datasets/${each.id}`, page.signal).catch(() => null)));
  for (const dataset of found.filter(Boolean))
    page.warnings.push(...worries(dataset).map((each) => `${dataset.name}: ${each}`));
  if (!page.signal.aborted) draw(page);
}

function config(job) {
  return h(
    "details",
    { class: "panel" },
    h("summary", {}, "Everything that was asked for"),
    h("pre", { tabindex: "0", "aria-label": "Config" }, h("code", {}, JSON.stringify(job.config, null, 2))),
    h(
      "p",
      {},
      h(
        "a",
        { class: "button", href: `#/new/${job.id}` },
        isOver(job) ? "Ask again, with changes" : "Ask for another like it",
      ),
    ),
  );
}

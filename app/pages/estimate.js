/** What a job will take, asked while its form is filled in. */

import { Problem, post } from "./api.js";
import { h, replace, sentence } from "./dom.js";
import { count, duration, size } from "./format.js";

const WAIT_MS = 350;

/** A place for it, and what to call whenever the body changes; null says that there is nothing to estimate yet. */
export function estimateBox(signal) {
  const told = h("div", { "aria-live": "polite" });
  let timer = null;
  let asked = 0;
  const ask = async (body) => {
    asked += 1;
    const mine = asked;
    try {
      const found = await post("/v1/jobs/estimate", body, { signal });
      if (mine === asked) replace(told, figures(found));
    } catch (problem) {
      if (mine === asked && problem instanceof Problem) replace(told, wrong(problem));
    }
  };
  const update = (body) => {
    clearTimeout(timer);
    if (body) timer = setTimeout(() => ask(body), WAIT_MS);
    else replace(told, h("p", { class: "muted" }, "Choose a primary and at least one auxiliary dataset."));
  };
  signal.addEventListener("abort", () => clearTimeout(timer));
  return { element: told, update };
}

function figures(found) {
  const time = found.elapsed_seconds;
  const told = [
    ["Time", time ? band(time) : "nothing was measured here yet"],
    ["Rows to train on", count(Math.round(found.rows_to_train.expected))],
    ["Rows to score", count(Math.round(found.rows_to_score.expected))],
    found.peak_bytes && ["Memory at its peak", size(found.peak_bytes.expected)],
    ["Device", found.device || "none has measured yet"],
    found.reused.length > 0 && ["Done already", `${found.reused.length} of ${found.steps.length} steps`],
  ];
  const list = told.filter(Boolean).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);
  return h("dl", { class: "facts" }, list);
}

function band({ expected, low, high }) {
  const [middle, least, most] = [expected, low, high].map(duration);
  return least === most ? middle : `${middle} (${least} to ${most})`;
}

function wrong(problem) {
  return h("div", { class: "notice warn" }, h("strong", {}, "So it cannot run: "), sentence(problem.message));
}

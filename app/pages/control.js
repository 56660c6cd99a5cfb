/** How a job stands in a line, and what can be done with it. */

import { post, problemBox, requestKey } from "./api.js";
import { h, replace } from "./dom.js";
import { duration, moment, percent } from "./format.js";
import { badge, isOver } from "./states.js";

const ACTIONS = [
  ["pause", "Pause", ["queued", "running"]],
  ["resume", "Resume", ["paused"]],
  ["cancel", "Cancel", ["queued", "running", "paused"]],
  ["retry", "Try again", ["failed", "cancelled"]],
];

/** Share of the work from which on the pace of a job says how long the rest takes. */
const TELLING = 0.02;

/** The buttons: those that make sense are shown; they stay the same elements, so that the focus is not lost. */
export function controls(id, onJob) {
  const told = h("div");
  const buttons = ACTIONS.map(([name, label, states]) => {
    const act = async () => {
      try {
        replace(told);
        onJob(await post(`/v1/jobs/${id}/${name}`, undefined, { key: requestKey() }));
      } catch (problem) {
        replace(told, problemBox(problem));
      }
    };
    return { states, element: h("button", { type: "button", on: { click: act } }, label) };
  });
  return {
    element: h(
      "div",
      { class: "controls" },
      buttons.map((each) => each.element),
      told,
    ),
    update(job) {
      for (const each of buttons) each.element.hidden = !each.states.includes(job.status);
    },
  };
}

/** The line. */
export function state(job) {
  const label = `${percent(job.progress)} done`;
  return h(
    "div",
    { class: "state" },
    badge(job.status),
    !isOver(job) && h("progress", { max: "1", value: String(job.progress), "aria-label": "Progress of the job" }),
    !isOver(job) && h("span", {}, label),
    h("span", { class: "muted" }, times(job)),
  );
}

function times(job) {
  if (!isOver(job)) {
    if (job.seconds_left !== null && job.progress >= TELLING) return `about ${duration(job.seconds_left)} left`;
    return job.started_at ? "how long it takes is not known yet" : "waits for a worker";
  }
  const began = job.started_at || job.created_at;
  const took = duration((new Date(job.finished_at) - new Date(began)) / 1000);
  return `${moment(job.finished_at)}, after ${took}`;
}

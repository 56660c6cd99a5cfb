/** The steps of a job, with how far each is. */

import { h } from "./dom.js";
import { count, duration } from "./format.js";
import { badge, isOver } from "./states.js";

/** The section: open while the job runs. */
export function stepsSection(job) {
  const done = job.steps.filter((each) => each.status === "succeeded").length;
  return h(
    "details",
    { class: "panel", open: !isOver(job) },
    h("summary", {}, `Steps: ${done} of ${job.steps.length} done`),
    h("ol", { class: "steps" }, job.steps.map(line)),
  );
}

function line(step) {
  return h(
    "li",
    { class: step.status },
    h("span", { class: "name" }, step.name),
    badge(step.status),
    h("span", { class: "muted" }, told(step)),
    step.status === "running" && step.progress && bar(step),
    step.error && h("p", { class: "wrong" }, step.error.message),
  );
}

function bar(step) {
  const { done, total, unit, message } = step.progress;
  return [
    h("progress", { max: String(total || 1), value: String(done), "aria-label": `Progress of ${step.name}` }),
    h("span", { class: "muted" }, [`${count(done)} of ${count(total)} ${unit}`, message].filter(Boolean).join(", ")),
  ];
}

function told(step) {
  if (step.reused) return "done for an earlier job";
  if (step.status === "running" && step.progress?.seconds_left)
    return `about ${duration(step.progress.seconds_left)} left`;
  if (step.seconds !== null && step.status === "succeeded") return duration(step.seconds);
  return step.attempts > 1 ? `attempt ${step.attempts}` : "";
}

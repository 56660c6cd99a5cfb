/** A job as it goes on: its stream of events, and how far it is. */

import { get } from "./api.js";
import { isOver } from "./states.js";

const LOOK_MS = 1500;
/** After an event, for those that come together. */
const SETTLE_MS = 200;
const TOLD = ["created", "started", "paused", "resumed", "retried", "succeeded", "failed", "cancelled"].map((each) => `job.${each}`);
const STEPS = ["step.started", "step.succeeded", "step.failed", "selection.made"];

/**
 * Follow a job until the view is left.
 * @param {{id: string, job: Object, signal: AbortSignal}} page
 * @param {{onJob: function, onMetrics: function, onWarning: function}} listeners
 */
export function follow(page, { onJob, onMetrics, onWarning }) {
  let settling = null;
  let last = 0;
  const look = async () => {
    settling = null;
    last = Date.now();
    const job = await get(`/v1/jobs/${page.id}`, page.signal).catch(() => null);
    if (job && !page.signal.aborted) onJob(job);
  };
  const soon = () => {
    if (settling === null) settling = setTimeout(look, SETTLE_MS);
  };
  const source = stream(page, soon, onMetrics, onWarning);
  const timer = setInterval(() => {
    // The stream ends with the job; a job that was tried again has a new one.
    if (!isOver(page.job) && !document.hidden && Date.now() - last > LOOK_MS) look();
  }, LOOK_MS);
  page.signal.addEventListener("abort", () => {
    source.close();
    clearInterval(timer);
    clearTimeout(settling);
  });
}

function stream(page, soon, onMetrics, onWarning) {
  const source = new EventSource(`/v1/jobs/${page.id}/events`);
  const data = (event) => JSON.parse(event.data);
  for (const name of [...TOLD, ...STEPS]) {
    source.addEventListener(name, () => isOver(page.job) || soon());
  }
  source.addEventListener("step.metrics", (event) => onMetrics(data(event)));
  source.addEventListener("step.warning", (event) => onWarning(data(event)));
  return source;
}

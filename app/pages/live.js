/** A job as it goes on: its stream of events, and how far it is. */

import { get } from "./api.js";
import { isOver } from "./states.js";

const LOOK_MS = 1500;
/** After an event, for those that come together. */
const SETTLE_MS = 200;
const TOLD = ["created", "started", "paused", "resumed", "retried", "succeeded", "failed", "cancelled"].map(
  (each) => `job.${each}`,
);
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
    if (settling === null && !isOver(page.job)) settling = setTimeout(look, SETTLE_MS);
  };
  const stream = new Stream(page, { soon, onMetrics, onWarning });
  const timer = setInterval(() => {
    if (isOver(page.job)) return;
    stream.goOn();
    if (!document.hidden && Date.now() - last > LOOK_MS) look();
  }, LOOK_MS);
  page.signal.addEventListener("abort", () => {
    stream.close();
    clearInterval(timer);
    clearTimeout(settling);
  });
}

/** The job's events. The browser comes back by itself when it is cut off; the stream ends with the job. */
class Stream {
  constructor(page, listeners) {
    this.page = page;
    this.listeners = listeners;
    this.seen = 0;
    this.open();
  }

  open() {
    const { soon, onMetrics, onWarning } = this.listeners;
    this.source = new EventSource(`/v1/jobs/${this.page.id}/events?after=${this.seen}`);
    const listen = (name, act) =>
      this.source.addEventListener(name, (event) => {
        this.seen = Number(event.lastEventId);
        act(event);
      });
    for (const name of [...TOLD, ...STEPS]) listen(name, soon);
    listen("step.metrics", (event) => onMetrics(JSON.parse(event.data)));
    listen("step.warning", (event) => onWarning(JSON.parse(event.data)));
  }

  /** Open it again where it has ended, for a job that was tried again. */
  goOn() {
    if (this.source.readyState === EventSource.CLOSED) this.open();
  }

  close() {
    this.source.close();
  }
}

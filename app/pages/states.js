/** How a job or a step stands, in a word and a colour. */

import { h } from "./dom.js";

export const ROLES = { primary: "primary", auxiliary: "auxiliary", validation: "validation" };

const KINDS = {
  succeeded: "good",
  failed: "bad",
  cancelled: "warn",
  paused: "warn",
  running: "busy",
};

/** The word in its colour. */
export function badge(status) {
  return h("span", { class: `badge ${KINDS[status] || ""}` }, status);
}

/** Whether nothing of a job moves any more. */
export function isOver(job) {
  return ["succeeded", "failed", "cancelled"].includes(job.status);
}

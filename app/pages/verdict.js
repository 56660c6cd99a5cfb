/** Whether it helped, in the report's own words; before there is a report, what comes next. */

import { h, sentence } from "./dom.js";

/** The section. */
export function verdictSection(job, report) {
  return h(
    "section",
    { class: "panel verdict", "aria-label": "Verdict" },
    h("h2", {}, "Did it help?"),
    told(job, report),
  );
}

function told(job, report) {
  if (job.error) {
    return h(
      "div",
      { class: "notice bad" },
      h("strong", {}, `It failed in ${job.error.step || "a step"}: `),
      sentence(job.error.message),
    );
  }
  if (!report) return h("p", { class: "muted" }, waiting(job));
  if (report.verdict.length === 0) {
    return h(
      "p",
      {},
      "No arm was compared, so nothing tells whether the rows help. Ask again with the arm ",
      h("code", {}, "primary_only"),
      " to find out.",
    );
  }
  return [
    report.recommendation && h("p", { class: "lead" }, report.recommendation),
    h(
      "ul",
      {},
      report.verdict.map((each) => h("li", {}, capital(each))),
    ),
  ];
}

function waiting(job) {
  if (job.status === "cancelled") return "The job was cancelled before it could be told.";
  if (job.status === "paused") return "The job rests. Resume it, and it goes on from where it was.";
  return job.selection
    ? "The rows are chosen; what they are worth is known when the arms are trained."
    : "Rows are being scored; nothing is chosen yet.";
}

function capital(text) {
  return text[0].toUpperCase() + text.slice(1);
}

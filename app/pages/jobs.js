/** All jobs, as they stand. */

import { get } from "./api.js";
import { badge, isOver, ROLES } from "./states.js";
import { h, replace } from "./dom.js";
import { duration, moment, percent } from "./format.js";
import { table } from "./table.js";

const AT_ONCE = 20;
const LOOK_MS = 2500;
const STATES = ["queued", "running", "paused", "succeeded", "failed", "cancelled"];

/** The view. */
export async function view(_, signal) {
  const list = h("div", { class: "stack" });
  const state = { status: "", shown: [], cursor: null, picked: new Set(), list, signal };
  await load(state);
  const status = h(
    "select",
    { id: "status" },
    h("option", { value: "" }, "all"),
    STATES.map((each) => h("option", { value: each }, each)),
  );
  status.addEventListener("change", async () => {
    state.status = status.value;
    state.shown = [];
    await load(state);
  });
  follow(state);
  return h(
    "div",
    { class: "stack" },
    h("div", { class: "head" }, h("h1", {}, "Jobs"), h("a", { href: "#/new", class: "main button" }, "New job")),
    h("section", { class: "panel stack", "aria-label": "Jobs" }, filter(status), list),
  );
}

function filter(status) {
  return h("div", { class: "filters" }, h("label", { for: "status" }, "Show"), status);
}

async function load(state, cursor = null) {
  const asked = new URLSearchParams({ limit: String(AT_ONCE) });
  if (state.status) asked.set("status", state.status);
  if (cursor) asked.set("cursor", cursor);
  const page = await get(`/v1/jobs?${asked}`, state.signal);
  state.shown = cursor ? [...state.shown, ...page.items] : page.items;
  state.cursor = page.next_cursor;
  draw(state);
}

function draw(state) {
  if (state.shown.length === 0) {
    replace(state.list, state.status ? h("p", { class: "muted" }, "No such job.") : welcome());
    return;
  }
  const more = () => load(state, state.cursor);
  replace(
    state.list,
    table("Jobs, newest first", columns(state), state.shown),
    h(
      "div",
      { class: "filters" },
      state.cursor && h("button", { type: "button", on: { click: more } }, "Show older ones"),
      comparison(state),
    ),
  );
}

function columns(state) {
  return [
    { name: "Compare", cell: (job) => pick(state, job) },
    { name: "Name", cell: (job) => h("a", { href: `#/jobs/${job.id}` }, job.name), kind: "wide" },
    { name: "State", cell: (job) => badge(job.status) },
    { name: "Done", cell: done },
    { name: "Primary", cell: (job) => job.datasets.find((each) => each.role === ROLES.primary).name },
    { name: "Method", cell: (job) => job.config.method },
    { name: "Budget", cell: (job) => job.config.budget.toLocaleString("en"), kind: "number" },
    { name: "Submitted", cell: (job) => moment(job.created_at) },
  ];
}

function done(job) {
  if (isOver(job)) return job.status === "succeeded" ? "100 %" : percent(job.progress);
  const left = job.seconds_left === null ? "" : `, ${duration(job.seconds_left)} left`;
  return `${percent(job.progress)}${left}`;
}

function pick(state, job) {
  const box = h("input", { type: "checkbox", "aria-label": `Compare ${job.name}`, disabled: !job.selection });
  box.checked = state.picked.has(job.id);
  box.addEventListener("change", () => {
    if (box.checked) state.picked.add(job.id);
    else state.picked.delete(job.id);
    draw(state);
    state.list.querySelector(`[aria-label="${CSS.escape(`Compare ${job.name}`)}"]`)?.focus();
  });
  return box;
}

function comparison(state) {
  const [first, second] = [...state.picked];
  if (state.picked.size === 2)
    return h("a", { class: "button", href: `#/compare/${first}/${second}` }, "Compare the two");
  return h(
    "span",
    { class: "muted" },
    state.picked.size === 1 ? "Pick one more to compare." : "Pick two jobs to compare.",
  );
}

function welcome() {
  return h(
    "div",
    { class: "welcome" },
    h("p", {}, "No job yet. A job takes three steps:"),
    h(
      "ol",
      {},
      h("li", {}, h("a", { href: "#/datasets" }, "Upload"), " your task and some larger datasets of other tasks."),
      h("li", {}, h("a", { href: "#/new" }, "Start a job"), ": say which is which, and how many rows to choose."),
      h("li", {}, "See here which rows were chosen, from where and why, and whether they helped."),
    ),
  );
}

/** Look again while something moves and nobody is on an older page or in the middle of picking. */
function follow(state) {
  const timer = setInterval(async () => {
    const idle = state.shown.length > AT_ONCE || state.list.contains(document.activeElement) || document.hidden;
    if (idle || state.shown.every(isOver)) return;
    await load(state).catch(() => {});
  }, LOOK_MS);
  state.signal.addEventListener("abort", () => clearInterval(timer));
}

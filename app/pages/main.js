/** The beginning: who is there, and which view the address names. */

import { Problem, problemBox, signedOut } from "./api.js";
import { h, replace } from "./dom.js";
import { signInView, whoAmI, whoBox } from "./session.js";

const ID = "([0-9a-f-]{36})";
/**
 * Addresses, what reads the view's module, and its title: what another view needs is not waited for. A module's `view`
 * gets the parts of its address and a signal that is aborted when it is left; it returns an element.
 */
const VIEWS = [
  [/^#\/jobs$/, () => import("./jobs.js"), "Jobs"],
  [new RegExp(`^#/jobs/${ID}$`), () => import("./job.js"), "Job"],
  [/^#\/datasets$/, () => import("./datasets.js"), "Datasets"],
  [new RegExp(`^#/datasets/${ID}$`), () => import("./dataset.js"), "Dataset"],
  [/^#\/new(?:\/([0-9a-f-]{36}))?$/, () => import("./new_job.js"), "New job"],
  [/^#\/keys$/, () => import("./keys.js"), "API keys"],
  [new RegExp(`^#/compare/${ID}/${ID}$`), () => import("./compare.js"), "Compare"],
];
const NOWHERE = [/^/, () => ({ view: nowhere }), "Not found"];
const HOME = "#/jobs";

const main = document.getElementById("main");
const nav = document.getElementById("nav");
const who = document.getElementById("who");
/** Links that keys of this scope alone can use. */
const MANAGING = nav.querySelectorAll('[data-scope="admin"]');
let leaving = new AbortController();

async function begin() {
  leaving.abort();
  const self = await whoAmI();
  nav.hidden = self === null;
  for (const link of MANAGING) link.hidden = self?.scope !== "admin";
  replace(who, self ? whoBox(self, begin) : null);
  if (self) await show();
  else {
    document.title = "Sign in · FastMTL";
    replace(main, signInView(begin));
    document.getElementById("key").focus();
  }
}

async function show() {
  if (location.hash === "#main") {
    main.focus();
    return;
  }
  const address = location.hash || HOME;
  const [pattern, read, title] = VIEWS.find(([each]) => each.test(address)) || NOWHERE;
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  for (const link of nav.querySelectorAll("a")) {
    const here = address.startsWith(link.getAttribute("href"));
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${title} · FastMTL`;
  try {
    const { view } = await read();
    const found = await view(address.match(pattern).slice(1), signal);
    if (!signal.aborted) arrive(found);
  } catch (problem) {
    if (signal.aborted || (problem instanceof Problem && problem.status === 401)) return;
    arrive(h("section", { class: "panel" }, h("h1", {}, title), problemBox(problem)));
  }
}

function arrive(view) {
  replace(main, view);
  window.scrollTo(0, 0);
  const heading = main.querySelector("h1");
  if (heading) {
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }
}

function nowhere() {
  return h("section", { class: "panel" }, h("h1", {}, "There is no such page"), h("a", { href: HOME }, "To the jobs"));
}

async function start() {
  try {
    await begin();
  } catch (problem) {
    replace(main, problemBox(problem));
  }
}

let ending = false;
signedOut.addEventListener("now", async () => {
  if (ending || nav.hidden) return;
  ending = true;
  await start();
  ending = false;
});
window.addEventListener("hashchange", () => nav.hidden || show());
start();

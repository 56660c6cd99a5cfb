/** The form of a new job: each choice with a sentence, and beside it what the job will take. */

import { begin, bodyOf, set } from "./asked.js";
import { get, getAll, post, problemBox, requestKey } from "./api.js";
import { h, replace, sentence } from "./dom.js";
import { estimateBox } from "./estimate.js";
import { choice, field, line, number, settings, tick } from "./fields.js";
import { many } from "./format.js";
import { snippets } from "./snippets.js";

const ARMS = {
  primary_only: "No auxiliary rows: what the primary reaches alone.",
  all_data: "Every auxiliary row: an epoch visits as many as the budget, each time others.",
  full: "Every auxiliary row in every epoch, which takes more steps than the others.",
};
const PRESETS = {
  small: "Sizes for a CPU and a small encoder.",
  paper: "The values of the paper.",
};
const NONE = "";
const MOST_DATASETS = 1000;

/** The view; with the id of a job its choices are taken over. */
export async function view([from], signal) {
  const [datasets, options, schema, old] = await Promise.all([
    getAll("/v1/datasets", MOST_DATASETS, signal),
    get("/v1/options", signal),
    get("/openapi.json", signal),
    from ? get(`/v1/jobs/${from}`, signal) : null,
  ]);
  if (datasets.length < 2) return tooFew();
  const helps = schema.components.schemas.JobConfig.properties;
  const help = Object.fromEntries(Object.entries(helps).map(([name, each]) => [name, each.description]));
  return form({ datasets, options, help, asked: begin(options, old), signal });
}

function form(shown) {
  const { asked, signal } = shown;
  const estimate = estimateBox(signal);
  const same = h("div");
  const told = h("div");
  let key = requestKey();
  const button = h("button", { type: "submit", class: "main" }, "Start the job");
  const changed = () => {
    const body = bodyOf(asked);
    key = requestKey(); // sent twice it is one job, changed it is another
    estimate.update(body);
    replace(same, body && snippets(body));
    button.disabled = !body;
  };
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      const made = await post("/v1/jobs", bodyOf(asked), { key });
      location.hash = `#/jobs/${made.id}`;
    } catch (problem) {
      button.disabled = false;
      replace(told, problemBox(problem));
    }
  };
  changed();
  return h(
    "form",
    { class: "stack", on: { submit }, novalidate: true },
    h("h1", {}, "New job"),
    h(
      "div",
      { class: "columns form" },
      h(
        "div",
        { class: "stack" },
        rows(shown, changed),
        how(shown, changed),
        worth(shown, changed),
        more(shown, changed),
      ),
      h(
        "section",
        { class: "panel aside", "aria-label": "What it will take" },
        h("h2", {}, "What it will take"),
        estimate.element,
        told,
        button,
        same,
      ),
    ),
  );
}

function rows(shown, changed) {
  const { datasets, asked } = shown;
  const name = (each) => `${each.name} (${many(each.rows, "row")})`;
  const select = (value, none) => {
    const items = datasets.map((each) => h("option", { value: each.id }, name(each)));
    const found = h("select", { required: true }, h("option", { value: NONE }, none), items);
    found.value = value || NONE;
    return found;
  };
  const primary = select(asked.primary, "choose one");
  const validation = select(asked.validation, "none: a part of the primary is held out");
  const list = h("div", { class: "ticks" });
  const draw = () => {
    const left = datasets.filter((each) => each.id !== asked.primary && each.id !== asked.validation);
    const box = (each) =>
      tick(name(each), { checked: asked.auxiliary.has(each.id) }, (on) => {
        if (on) asked.auxiliary.add(each.id);
        else asked.auxiliary.delete(each.id);
        changed();
      });
    replace(list, left.map(box));
  };
  const take = (role, element) =>
    element.addEventListener("change", () => {
      asked[role] = element.value || null;
      asked.auxiliary.delete(element.value);
      draw();
      changed();
    });
  take("primary", primary);
  take("validation", validation);
  draw();
  return h(
    "section",
    { class: "panel stack" },
    h("h2", {}, "Rows"),
    field("Primary", primary, "Your task: the dataset that rows are chosen for."),
    field("Validation", validation, "More rows of the primary, to measure on once."),
    h(
      "fieldset",
      {},
      h("legend", {}, "Auxiliary"),
      h("p", { class: "help" }, "The datasets that rows are chosen from."),
      list,
    ),
  );
}

function how(shown, changed) {
  const { options, asked, help } = shown;
  const own = { method: h("div", { class: "inner" }), selector: h("div", { class: "inner" }) };
  const draw = (part) => replace(own[part], ownSettings(options.settings[asked.config[part]], asked, part, changed));
  const pick = (label, part, sentences) =>
    choice(label, sentences, asked.config[part], (value) => {
      set(asked, part, value);
      draw(part);
      changed();
    });
  draw("method");
  draw("selector");
  const budget = { value: asked.config.budget, min: 1, max: 100000000, help: help.budget };
  return h(
    "section",
    { class: "panel stack" },
    h("h2", {}, "How rows are chosen"),
    number("Budget", budget, (value) => {
      set(asked, "budget", value);
      changed();
    }),
    pick("Method", "method", options.methods),
    own.method,
    pick("Selector", "selector", options.selectors),
    own.selector,
    pick("Preset", "preset", Object.fromEntries(options.presets.map((each) => [each, PRESETS[each] || help.preset]))),
  );
}

function ownSettings(schema, asked, part, changed) {
  if (!schema) return null;
  const name = asked.config[part];
  const fields = settings(schema, asked.config.options[name] || {}, (setting, value) => {
    const mine = { ...asked.config.options[name] };
    if (value === null) delete mine[setting];
    else mine[setting] = value;
    set(asked, "options", { ...asked.config.options, [name]: mine });
    changed();
  });
  return h("details", {}, h("summary", {}, `Settings of ${name}`), h("div", { class: "stack" }, fields));
}

function worth(shown, changed) {
  const { options, asked, help } = shown;
  const { compare } = asked.config;
  const sentences = { ...ARMS, ...options.methods };
  const names = Object.keys(sentences).filter((name) => name !== asked.config.method || compare.has(name));
  const arm = (name) =>
    tick(name, { checked: compare.has(name), help: sentences[name] }, (on) => {
      if (on) compare.add(name);
      else compare.delete(name);
      asked.written.add("compare");
      changed();
    });
  const [usual, rare] = [names.filter(isUsual), names.filter((name) => !isUsual(name))];
  const repeats = { value: asked.config.repeats, min: 1, max: 50, help: help.repeats };
  return h(
    "section",
    { class: "panel stack" },
    h("h2", {}, "Whether it helps"),
    h(
      "fieldset",
      {},
      h("legend", {}, "Arms to compare"),
      h("p", { class: "help" }, sentence(help.compare)),
      h("div", { class: "ticks" }, usual.map(arm)),
      h("details", {}, h("summary", {}, "More arms"), h("div", { class: "ticks" }, rare.map(arm))),
    ),
    number("Repeats", repeats, (value) => {
      set(asked, "repeats", value);
      changed();
    }),
  );
}

function isUsual(name) {
  return ["primary_only", "random", "random_balanced"].includes(name);
}

function more(shown, changed) {
  const { options, asked, help } = shown;
  const put = (name) => (value) => {
    set(asked, name, value);
    changed();
  };
  const { config } = asked;
  const encoders = Object.fromEntries(
    options.encoders.map((name) => [name, "One of the encoders that this deployment allows."]),
  );
  const curve = { value: config.budget_curve.join(", "), help: help.budget_curve, placeholder: "125, 250, 500" };
  const numbers = (text) =>
    text
      .split(/[\s,;]+/)
      .filter(Boolean)
      .map(Number);
  const encoder = (part) => (value) => put("encoder")({ ...asked.config.encoder, [part]: value });
  return h(
    "details",
    { class: "panel" },
    h("summary", {}, "More choices"),
    h(
      "div",
      { class: "stack" },
      line("Name", { value: asked.name, maxlength: "200", help: "A name for people." }, (value) => {
        asked.name = value;
        changed();
      }),
      line("Budget curve", curve, (text) => put("budget_curve")(numbers(text))),
      tick("Leave one out", { checked: config.leave_one_out, help: help.leave_one_out }, put("leave_one_out")),
      number("Explain", { value: config.explain, min: 0, max: 20, help: help.explain }, put("explain")),
      number("Map points", { value: config.map_points, min: 0, max: 200000, help: help.map_points }, put("map_points")),
      choice("Encoder", encoders, config.encoder.name, encoder("name")),
      number(
        "Tokens of a row",
        { value: config.encoder.max_length, min: 8, max: 8192, help: "Tokens kept of a row; longer rows are cut." },
        encoder("max_length"),
      ),
      number("Seed", { value: config.seed, min: 0, max: 4294967295, help: help.seed }, put("seed")),
    ),
  );
}

function tooFew() {
  return h(
    "section",
    { class: "panel" },
    h("h1", {}, "New job"),
    h("p", {}, "A job needs at least two datasets: your task, and one of another task that rows are chosen from."),
    h("a", { class: "main button", href: "#/datasets" }, "Upload datasets"),
  );
}

/** API keys of the tenant: made, shown once, replaced, revoked; for keys that may do so. */

import { getAll, post, problemBox, remove, requestKey } from "./api.js";
import { h, replace, say } from "./dom.js";
import { choice, line, number } from "./fields.js";
import { moment } from "./format.js";
import { whoAmI } from "./session.js";
import { copyButton } from "./snippets.js";
import { table } from "./table.js";

const MOST = 1000;
const OVERLAP_HOURS = 24;
const SCOPES = {
  read: "Looks at everything, changes nothing.",
  write: "Also uploads, submits and cancels.",
  admin: "Also makes and revokes keys.",
};

/** The view. */
export async function view(_, signal) {
  const state = { signal, list: h("div"), told: h("div", { class: "stack" }), self: await whoAmI() };
  await load(state);
  return h(
    "div",
    { class: "stack" },
    h("h1", {}, "API keys"),
    h("p", { class: "lead" }, `All keys of the tenant ${state.self.tenant} see the same datasets and jobs.`),
    state.told,
    form(state),
    h("section", { class: "panel", "aria-label": "Keys" }, state.list),
  );
}

async function load(state) {
  const keys = await getAll("/v1/keys", MOST, state.signal);
  replace(state.list, table("Keys, newest first", columns(state), keys));
}

function columns(state) {
  return [
    { name: "Name", cell: (key) => [key.name, key.id === state.self.key?.id && " (yours)"], kind: "wide" },
    { name: "Begins with", cell: (key) => h("code", {}, `fastmtl_${key.prefix}`) },
    { name: "Scope", cell: (key) => key.scope },
    { name: "State", cell: standing },
    { name: "Made", cell: (key) => moment(key.created_at) },
    { name: "Last used", cell: (key) => moment(key.used_at) || "never" },
    { name: "Actions", cell: (key) => key.active && actions(state, key) },
  ];
}

function standing(key) {
  if (key.revoked_at) return `revoked ${moment(key.revoked_at)}`;
  if (!key.active) return `ended ${moment(key.expires_at)}`;
  const until = key.expires_at ? `until ${moment(key.expires_at)}` : "counts";
  return key.replaced_by ? `replaced, counts ${until}` : until;
}

function actions(state, key) {
  const mine = key.id === state.self.key?.id;
  const rotate = async () => {
    const path = `/v1/keys/${key.id}/rotate`;
    shown(state, await post(path, { overlap_hours: OVERLAP_HOURS }, { key: requestKey() }), "The key that replaces it");
  };
  const revoke = () => remove(`/v1/keys/${key.id}`);
  const lasts = `The key ${key.name} still counts for ${OVERLAP_HOURS} hours.`;
  const ends = mine ? "You are signed in with this key, and are signed out." : "Whoever uses it is shut out at once.";
  return h(
    "span",
    { class: "pair" },
    !key.replaced_by && asked(state, `Replace ${key.name}`, "Replace", lasts, rotate),
    asked(state, `Revoke ${key.name}`, "Revoke", ends, revoke),
  );
}

/** A button that acts when it is pressed twice, and says before what that does. */
function asked(state, label, text, told, act) {
  const place = h("span");
  const sure = async () => {
    try {
      await act();
      await load(state);
    } catch (problem) {
      if (!state.signal.aborted) replace(place, problemBox(problem));
    }
  };
  const ask = () => {
    const really = h("button", { type: "button", class: "bad", on: { click: sure } }, label);
    replace(place, h("span", { class: "muted" }, `${told} `), really);
    really.focus();
  };
  const first = h("button", { type: "button", class: "plain", "aria-label": label, on: { click: ask } }, text);
  replace(place, first);
  return place;
}

function form(state) {
  const wanted = { name: "", scope: "write", expires_in_days: null };
  const told = h("div");
  let key = requestKey();
  const change = (name) => (value) => {
    wanted[name] = value;
    key = requestKey();
  };
  const submit = async (event) => {
    event.preventDefault();
    try {
      shown(state, await post("/v1/keys", wanted, { key }), "The new key");
      key = requestKey();
      replace(told);
      await load(state);
    } catch (problem) {
      replace(told, problemBox(problem));
    }
  };
  const days = { min: 1, max: 3650, help: "Empty: it does not end by itself." };
  return h(
    "form",
    { class: "panel stack", on: { submit }, novalidate: true },
    h("h2", {}, "New key"),
    line("Name", { maxlength: "200", help: "Who or what it is for." }, change("name")),
    choice("Scope", SCOPES, wanted.scope, change("scope")),
    number("Days until it ends", days, change("expires_in_days")),
    told,
    h("div", {}, h("button", { type: "submit", class: "main" }, "Make the key")),
  );
}

/** Show a key, the only time that anybody can. */
function shown(state, made, title) {
  const text = h("code", { tabindex: "0", "aria-label": title }, made.key);
  const away = () => replace(state.told);
  replace(
    state.told,
    h(
      "div",
      { class: "notice good", role: "status" },
      h("strong", {}, `${title}, ${made.name}: keep it now, it cannot be shown again`),
      h("p", {}, text),
      h(
        "div",
        { class: "pair" },
        copyButton("the key", made.key),
        h("button", { type: "button", class: "plain", on: { click: away } }, "I have kept it"),
      ),
    ),
  );
  text.focus();
  say(`${title} is shown. It cannot be shown again.`);
}

/** Signing in: a key is exchanged for a cookie that scripts cannot read. */

import { Problem, get, post, problemBox, remove } from "./api.js";
import { h, replace } from "./dom.js";

/** Who one is; null where nobody is signed in. */
export async function whoAmI() {
  try {
    return await get("/v1/keys/self");
  } catch (problem) {
    if (problem instanceof Problem && problem.status === 401) return null;
    throw problem;
  }
}

/** The name of who is signed in, and the way out; `onOut` is called when it was taken. */
export function whoBox(self, onOut) {
  if (!self.key) return [h("span", { class: "muted" }, "open to this machine")];
  const leave = async () => {
    await remove("/session");
    onOut();
  };
  return [
    h("span", { class: "muted" }, `${self.key.name} · ${self.scope}`),
    h("button", { class: "plain", type: "button", on: { click: leave } }, "Sign out"),
  ];
}

/** The form; `onIn` is called when the service knows us. */
export function signInView(onIn) {
  const told = h("div");
  const key = h("input", {
    id: "key",
    name: "key",
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
    maxlength: "200",
    "aria-describedby": "key-help",
  });
  const submit = async (event) => {
    event.preventDefault();
    try {
      await post("/session", { key: key.value });
      key.value = "";
      onIn();
    } catch (problem) {
      replace(told, problemBox(problem));
      key.focus();
    }
  };
  return h(
    "section",
    { class: "panel narrow" },
    h("h1", {}, "Sign in"),
    h("p", {}, "FastMTL tells which rows of other datasets are worth training on for your task."),
    h(
      "form",
      { on: { submit }, class: "stack" },
      h("label", { for: "key" }, "API key"),
      key,
      h(
        "p",
        { class: "help", id: "key-help" },
        "The first start of the service makes one and keeps it in the file ",
        h("code", {}, "api-key"),
        " of its home folder. The key is exchanged for a cookie that no script can read, and is kept nowhere else.",
      ),
      told,
      h("button", { type: "submit", class: "main" }, "Sign in"),
    ),
  );
}

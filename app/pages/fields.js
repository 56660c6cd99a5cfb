/** Fields of a form: each with its label, and a sentence that says what it decides. */

import { h, newId, replace, sentence } from "./dom.js";

/** A field around an input that is there. */
export function field(label, input, help) {
  const id = input.id || newId("field");
  input.id = id;
  const told = help && h("p", { class: "help", id: `${id}-help` }, typeof help === "string" ? sentence(help) : help);
  if (told) input.setAttribute("aria-describedby", `${id}-help`);
  return h("div", { class: "field" }, h("label", { for: id }, label), input, told);
}

/**
 * A choice of one, with the sentence of what is chosen beneath.
 * @param {string} label
 * @param {Object<string, string>} sentences by name
 */
export function choice(label, sentences, value, onChange) {
  const told = h("span");
  const select = h(
    "select",
    {},
    Object.keys(sentences).map((name) => h("option", { value: name }, name)),
  );
  select.value = value;
  const tell = () => replace(told, sentence(sentences[select.value] || ""));
  select.addEventListener("change", () => {
    tell();
    onChange(select.value);
  });
  tell();
  return field(label, select, [told]);
}

/** A number; `onChange` gets null where nothing, or nonsense, is written. */
export function number(label, { value, min, max, step = "1", help }, onChange) {
  const input = h("input", { type: "number", value, min, max, step, inputmode: step === "1" ? "numeric" : "decimal" });
  input.addEventListener("input", () =>
    onChange(input.value === "" || !input.validity.valid ? null : Number(input.value)),
  );
  return field(label, input, help);
}

/** A line of text. */
export function line(label, { value, help, maxlength, placeholder }, onChange) {
  const input = h("input", { type: "text", value, maxlength, placeholder });
  input.addEventListener("input", () => onChange(input.value.trim()));
  return field(label, input, help);
}

/** Something that is on or off. */
export function tick(label, { checked, help }, onChange) {
  const id = newId("field");
  const input = h("input", { type: "checkbox", id, checked, "aria-describedby": help && `${id}-help` });
  input.addEventListener("change", () => onChange(input.checked));
  const told = help && h("span", { class: "help", id: `${id}-help` }, sentence(help));
  return h("div", { class: "tick" }, input, h("label", { for: id }, label), told);
}

/** The fields that a JSON Schema of settings describes, by the kinds that methods and selectors have. */
export function settings(schema, values, onChange) {
  return Object.entries(schema.properties).flatMap(([name, described]) => {
    const kind = described.type || described.anyOf?.find((each) => each.type !== "null")?.type;
    const help = described.description;
    const now = values[name] ?? described.default;
    const change = (value) => onChange(name, value);
    if (described.enum)
      return [choice(name, Object.fromEntries(described.enum.map((each) => [each, help])), now, change)];
    if (kind === "boolean") return [tick(name, { checked: now, help }, change)];
    if (kind === "integer" || kind === "number") {
      const { minimum: min, maximum: max } = described;
      return [number(name, { value: now, min, max, step: kind === "integer" ? "1" : "any", help }, change)];
    }
    return [];
  });
}

/** The same job by curl and by Python, ready to be copied. */

import { h, say } from "./dom.js";

/** Both, folded away. */
export function snippets(body) {
  return h(
    "details",
    { class: "snippets" },
    h("summary", {}, "The same by curl and Python"),
    h(
      "p",
      { class: "help" },
      "Both take the key from the environment variable ",
      h("code", {}, "FASTMTL_API_KEY"),
      ".",
    ),
    block("curl", curl(body)),
    block("Python", python(body)),
  );
}

/** The command. */
export function curl(body) {
  const json = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
  return [
    `curl -s ${location.origin}/v1/jobs \\`,
    `  -H "Authorization: Bearer $FASTMTL_API_KEY" \\`,
    "  -H 'Content-Type: application/json' \\",
    `  -d '${json}'`,
  ].join("\n");
}

/** The program. */
export function python(body) {
  const given = Object.entries(body).map(([name, value]) => `        ${name}=${literal(value, 2)},`);
  return [
    "from fastmtl.client import Client",
    "",
    `with Client(${literal(location.origin)}) as client:`,
    "    job = client.submit(",
    ...given,
    "    )",
    '    for state in client.watch(job["id"]):',
    '        print(state["status"], state["progress"])',
  ].join("\n");
}

function literal(value, depth = 0) {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map((each) => literal(each, depth)).join(", ")}]`;
  if (typeof value === "object") {
    const pairs = Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}: ${literal(each, depth)}`);
    return `{${pairs.join(", ")}}`;
  }
  return JSON.stringify(value);
}

/** A button that copies a text. */
export function copyButton(name, text) {
  const copy = async (event) => {
    const button = event.currentTarget;
    await toClipboard(text);
    button.textContent = "Copied";
    say(`${name} copied`);
    setTimeout(() => (button.textContent = "Copy"), 2000);
  };
  return h("button", { type: "button", class: "plain", "aria-label": `Copy ${name}`, on: { click: copy } }, "Copy");
}

function block(name, text) {
  return h(
    "figure",
    { class: "snippet" },
    h("figcaption", {}, name, copyButton(name, text)),
    h("pre", { tabindex: "0", "aria-label": name }, h("code", {}, text)),
  );
}

/** Browsers give the clipboard to pages on https and on this machine alone; elsewhere a selection is copied. */
async function toClipboard(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text).catch(() => {});
    return;
  }
  const area = h("textarea", { class: "unseen", "aria-hidden": "true" });
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

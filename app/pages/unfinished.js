/** Uploads that were cut off and not gone on with: what is there of them, and the way to give one up. */

import { getAll, problemBox, remove } from "./api.js";
import { h, replace } from "./dom.js";
import { moment, percent, size } from "./format.js";
import { changed, isBeingSent } from "./upload.js";

const MOST = 200;

/** The section; nothing where there is none. */
export async function unfinishedSection(signal) {
  const found = await getAll("/v1/uploads", MOST, signal);
  const left = found.filter((each) => each.state === "incomplete" && !isBeingSent(each.filename, each.length));
  if (left.length === 0) return null;
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, "Unfinished uploads"),
    h("p", {}, "Choose or drop the same file again: it goes on where it was cut."),
    h("ul", { class: "files" }, left.map(line)),
  );
}

function line(upload) {
  const told = h("div");
  const name = upload.filename || "a file without a name";
  const giveUp = async () => {
    try {
      await remove(`/v1/uploads/${upload.id}`, { "Tus-Resumable": "1.0.0" });
      changed.dispatchEvent(new Event("now"));
    } catch (problem) {
      replace(told, problemBox(problem));
    }
  };
  return h(
    "li",
    {},
    h("b", {}, name),
    `, ${percent(upload.offset / upload.length)} of ${size(upload.length)}, kept until ${moment(upload.expires_at)} `,
    h("button", { type: "button", class: "plain", "aria-label": `Give up ${name}`, on: { click: giveUp } }, "Give up"),
    told,
  );
}

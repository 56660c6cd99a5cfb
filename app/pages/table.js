/** Plain tables; on narrow screens each row becomes a card that names its cells. */

import { h } from "./dom.js";

/**
 * Make a table. A column is {name, cell, kind}: `cell` makes the content of a row, `kind` is "number" or "wide".
 * @param {string} caption
 * @param {{name: string, cell: function(Object): *, kind?: string}[]} columns
 * @param {Object[]} rows
 */
export function table(caption, columns, rows) {
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      { class: "cards" },
      h("caption", { class: "unseen" }, caption),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          columns.map((each) => h("th", { scope: "col", class: each.kind }, each.name)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h(
            "tr",
            {},
            columns.map((each) => cell(each, row)),
          ),
        ),
      ),
    ),
  );
}

/** One cell of a column for a row. */
export function cell(column, row) {
  return h("td", { class: column.kind, "data-name": column.name }, h("span", {}, column.cell(row)));
}

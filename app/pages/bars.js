/** Bars: drawn as SVG, with the numbers as a table beside them for those who want or need those. */

import { h, newId, s } from "./dom.js";
import { count, percent } from "./format.js";
import { table } from "./table.js";

const WIDTH = 600;
const HEIGHT = 120;

/**
 * A histogram. Heights are log(1 + n): a few rows beside very many are still seen.
 * @param {string} title
 * @param {number[]} edges one more than there are bars
 * @param {{name: string, rows: number[], kind: string}[]} layers drawn over one another
 * @param {{cut?: number, format: function(number): string, unit: string, log?: boolean}} options
 */
export function histogram(title, edges, layers, { cut = null, format, unit, log = false }) {
  const scale = (rows) => (log ? Math.log1p(rows) : rows);
  const most = Math.max(1e-9, ...layers.flatMap((layer) => layer.rows.map(scale)));
  const [low, high] = [edges[0], edges[edges.length - 1]];
  const x = (value) => (WIDTH * (value - low)) / (high - low || 1);
  const bars = layers.flatMap((layer) =>
    layer.rows.map((rows, index) => {
      const height = (HEIGHT * scale(rows)) / most;
      const width = Math.max(1, x(edges[index + 1]) - x(edges[index]) - 1);
      return rows > 0 && s("rect", { class: layer.kind, x: x(edges[index]), y: HEIGHT - height, width, height });
    }),
  );
  const line = cut !== null && s("line", { class: "cut", x1: x(cut), x2: x(cut), y1: 0, y2: HEIGHT });
  const box = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" };
  return h(
    "figure",
    { class: "chart" },
    h("figcaption", {}, title),
    s(
      "svg",
      { ...box, class: "histogram" },
      bars,
      s("line", { class: "base", x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }),
      line,
    ),
    h(
      "div",
      { class: "ends", "aria-hidden": "true" },
      h("span", {}, format(low)),
      h("span", {}, unit),
      h("span", {}, format(high)),
    ),
    numbers(title, rowsOf(edges, layers, format), [
      { name: unit, cell: (row) => row.range },
      ...layers.map((layer, index) => ({ name: layer.name, cell: (row) => count(row.counts[index]), kind: "number" })),
    ]),
  );
}

/**
 * Lines of bars, two or one each.
 * @param {string} caption
 * @param {{name: string, bars: {share: number, kind: string, label: string}[]}[]} lines
 */
export function barList(caption, lines) {
  return h(
    "ul",
    { class: "bars", "aria-label": caption },
    lines.map((line) =>
      h(
        "li",
        {},
        h("span", { class: "name" }, line.name),
        line.bars.map((bar) => h("span", { class: "bar" }, strip(bar), h("span", { class: "value" }, bar.label))),
      ),
    ),
  );
}

/** Counts by label, the largest share filling the line. */
export function labelBars(labels, rows) {
  const most = Math.max(1, ...labels.map((each) => each.rows));
  const told = (each) => `${count(each.rows)} (${percent(each.rows / rows)})`;
  const line = (each) => ({ name: each.label, bars: [{ share: each.rows / most, kind: "pool", label: told(each) }] });
  return barList("Rows by label", labels.map(line));
}

/** The numbers of a chart, folded away. */
export function numbers(title, rows, columns) {
  const id = newId("numbers");
  return h("details", { class: "numbers" }, h("summary", { id }, "Numbers"), table(title, columns, rows));
}

function strip(bar) {
  const width = (100 * Math.min(1, Math.max(0, bar.share))).toFixed(2);
  const box = { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true", class: "strip" };
  return s(
    "svg",
    box,
    s("rect", { class: "track", width: 100, height: 10 }),
    s("rect", { class: bar.kind, width, height: 10 }),
  );
}

function rowsOf(edges, layers, format) {
  const every = layers[0].rows.map((_, index) => ({
    range: `${format(edges[index])} to ${format(edges[index + 1])}`,
    counts: layers.map((layer) => layer.rows[index]),
  }));
  return every.filter((row) => row.counts.some((rows) => rows > 0));
}

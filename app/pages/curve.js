/** The budget curve: what fewer of the best rows reach. */

import { numbers } from "./bars.js";
import { lineChart } from "./chart.js";
import { h } from "./dom.js";
import { count } from "./format.js";

/** The section; nothing where no curve was asked for. */
export function curveSection(report) {
  const curve = report.budget_curve;
  if (!curve) return null;
  const { points, recommended } = curve;
  const { headline } = Object.values(report.arms)[0];
  const percent = (value) => 100 * value;
  const told =
    recommended === 0
      ? "The primary alone does as well as any budget that was tried."
      : `${count(recommended)} rows are enough: the smallest budget within one standard error of the best.`;
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, "Would fewer rows do?"),
    h("p", {}, told),
    lineChart(
      `${headline} by budget`,
      "rows",
      points.map((each) => each.budget),
      [{ name: headline, values: points.map((each) => percent(each.mean)) }],
    ),
    numbers(`${headline} by budget`, points, [
      { name: "Budget", cell: (each) => count(each.budget), kind: "number" },
      { name: headline, cell: (each) => percent(each.mean).toFixed(1), kind: "number" },
      {
        name: "Behind the best",
        cell: (each) => `${percent(each.behind_best).toFixed(1)} ± ${percent(each.error).toFixed(1)}`,
        kind: "number",
      },
    ]),
  );
}

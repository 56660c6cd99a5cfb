/** What each arm reached, and how sure the differences are. */

import { h, s } from "./dom.js";
import { table } from "./table.js";

/** Per cent of the width that are left free on either side. */
const MARGIN = 2;

const MEASURED_ON = { validation: "validation dataset", holdout: "primary that were held out" };

/** The section; nothing where no arm was compared. */
export function armsSection(report) {
  const names = Object.keys(report.arms).filter((name) => !/^(best|without) /.test(name));
  const differences = Object.entries(report.differences).filter(([, each]) => each);
  const effects = Object.entries(report.datasets || {});
  if (names.length < 2 && effects.length === 0) return null;
  const first = Object.values(report.arms)[0];
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, "The selection beside other arms"),
    h(
      "p",
      {},
      `Measured by ${first.headline} on ${first.rows.measured} rows of the ${MEASURED_ON[first.measured_on]}. `,
      "A line is the 95 % interval of how much better the selection is; where it crosses zero, no difference is shown.",
    ),
    intervals(
      "How much better the selection is",
      differences.map(([name, each]) => ({ name: `than ${name}`, ...each })),
    ),
    table(
      "What each arm reached",
      columns(first.headline),
      names.map((name) => ({ name, ...report.arms[name] })),
    ),
    effects.length > 0 && [
      h("h3", {}, "What each dataset's rows are worth"),
      intervals(
        "Worth of each dataset's rows",
        effects.map(([name, each]) => ({ name: `${name}: ${each.meaning}`, ...each })),
      ),
    ],
  );
}

function columns(headline) {
  const others = (arm) => Object.entries(arm.metrics).filter(([name]) => name !== headline);
  return [
    { name: "Arm", cell: (arm) => arm.name },
    { name: headline, cell: (arm) => figure(arm.metrics[headline], arm.spread[headline]), kind: "number" },
    {
      name: "Others",
      cell: (arm) =>
        others(arm)
          .map(([name, value]) => `${name} ${figure(value)}`)
          .join(", "),
    },
    { name: "Repeats", cell: (arm) => String(arm.repeats.length), kind: "number" },
  ];
}

function figure(value, spread) {
  if (value === null) return "not defined";
  return (100 * value).toFixed(1) + (spread ? ` ± ${(100 * spread).toFixed(1)}` : "");
}

/** Lines around a point, on one scale with zero in it. */
function intervals(title, lines) {
  if (lines.length === 0) return null;
  const ends = lines.flatMap((each) => [each.low, each.high, 0]);
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const reach = high - low || 0.01;
  const x = (value) => `${MARGIN + ((100 - 2 * MARGIN) * (value - low)) / reach}%`;
  const kind = (each) => (each.low > 0 ? "good" : each.high < 0 ? "bad" : "open");
  return h(
    "figure",
    { class: "chart" },
    h("figcaption", {}, `${title}, in points`),
    h(
      "ul",
      { class: "bars" },
      lines.map((each) =>
        h(
          "li",
          {},
          h("span", { class: "name" }, each.name),
          h(
            "span",
            { class: "bar" },
            s(
              "svg",
              { class: "interval", height: "20", "aria-hidden": "true" },
              s("line", { class: "zero", x1: x(0), x2: x(0), y1: 0, y2: 20 }),
              s("line", { class: kind(each), x1: x(each.low), x2: x(each.high), y1: 10, y2: 10 }),
              s("circle", { class: kind(each), cx: x(each.value), cy: 10, r: 5 }),
            ),
            h("span", { class: "value" }, `${signed(each.value)} (${signed(each.low)} to ${signed(each.high)})`),
          ),
        ),
      ),
    ),
  );
}

function signed(value) {
  return `${value >= 0 ? "+" : "−"}${Math.abs(100 * value).toFixed(1)}`;
}

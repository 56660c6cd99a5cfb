/** Lines over an axis, drawn by uPlot in the page's own colours. */

import { h } from "./dom.js";
import uPlot from "./vendor/uPlot.js";

const HEIGHT = 220;
const COLOURS = 6;
const DASHES = [[], [6, 4], [2, 3]];

/**
 * A chart with a legend that tells the values under the pointer.
 * @param {string} title
 * @param {string} across what the axis counts
 * @param {number[]} xs rising
 * @param {{name: string, values: (number|null)[]}[]} lines
 */
export function lineChart(title, across, xs, lines) {
  const place = h("div", { class: "plot", role: "img", "aria-label": `${title}: ${summary(lines)}` });
  const figure = h("figure", { class: "chart" }, h("figcaption", {}, title), place, legend(lines));
  let plot = null;
  const draw = (width) => {
    plot?.destroy();
    plot = new uPlot(options(place, width, across, lines), [xs, ...lines.map((each) => each.values)], place);
  };
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const again = () => place.isConnected && draw(place.clientWidth);
  const watch = new ResizeObserver(([entry]) => {
    const width = Math.floor(entry.contentRect.width);
    if (width === 0) return;
    if (plot === null) draw(width);
    else if (plot.width !== width) plot.setSize({ width, height: HEIGHT });
  });
  watch.observe(place);
  scheme.addEventListener("change", again);
  return figure;
}

function options(place, width, across, lines) {
  const style = getComputedStyle(place);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour("--muted"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { stroke: colour("--line") },
  };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { drag: { x: false, y: false } },
    scales: { x: { time: false } },
    axes: [
      { ...axis, label: across, labelSize: 22, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000] },
      { ...axis, size: 58 },
    ],
    series: [
      {},
      ...lines.map((each, index) => ({
        label: each.name,
        stroke: colour(`--series-${index % COLOURS}`),
        width: 2,
        dash: DASHES[Math.floor(index / COLOURS) % DASHES.length],
        points: { show: true, size: 6, fill: colour(`--series-${index % COLOURS}`) },
        spanGaps: true,
      })),
    ],
  };
}

function legend(lines) {
  if (lines.length < 2) return null;
  const one = (each, index) =>
    h("span", { class: "key" }, h("span", { class: `swatch series-${index % COLOURS}` }), each.name);
  return h("p", { class: "legend" }, lines.map(one));
}

function summary(lines) {
  const ends = (each) => {
    const known = each.values.filter((value) => value !== null && value !== undefined);
    return known.length > 0
      ? `${each.name} from ${known[0].toPrecision(3)} to ${known[known.length - 1].toPrecision(3)}`
      : each.name;
  };
  return lines.map(ends).join("; ");
}

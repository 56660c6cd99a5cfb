/** The map: a point a row, drawn on a canvas; the row under the pointer is read from the service. */

import { get, problemBox } from "./api.js";
import { h, newId, replace } from "./dom.js";
import { count, many, score } from "./format.js";
import { key } from "./shares.js";

const HEIGHT = 480;
const MARGIN = 12;
/** Pixels of a point: few are drawn larger. */
const LEAST_SIZE = 2;
const MOST_SIZE = 7;
/** Pixels between the pointer and the nearest point, at most. */
const REACH = 12;
/** Pixels of a cell of the grid that finds it. */
const CELL = 16;
const WAIT_MS = 120;
const SERIES = 6;
const SHADES = 8;

/** The section; nothing where no map was asked for. */
export function mapSection(job, signal) {
  const place = h("div", { class: "stack" }, h("p", { class: "muted" }, "Being read."));
  get(`/v1/jobs/${job.id}/map`, signal)
    .then((found) => new Plane(job, found, signal, place))
    .catch((problem) => signal.aborted || replace(place, problemBox(problem)));
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, "Where the rows lie"),
    h("p", {}, "Rows that say like things lie near one another; how far groups are from each other means little."),
    place,
  );
}

class Plane {
  constructor(job, found, signal, place) {
    Object.assign(this, { found, signal, by: "dataset", texts: new Map(), timer: null });
    this.ids = new Map(job.datasets.map((each) => [each.key, each.id]));
    this.canvas = h("canvas", { class: "map", role: "img", "aria-label": this.summary() });
    this.legend = h("p", { class: "legend" });
    this.told = h("p", { class: "told", "aria-live": "polite" }, "Point at a row to read it.");
    replace(place, this.choice(), this.legend, this.canvas, this.told);
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    const watch = new ResizeObserver(() => this.draw());
    watch.observe(this.canvas);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", () => this.draw(), { signal });
    signal.addEventListener("abort", () => {
      watch.disconnect();
      clearTimeout(this.timer);
    });
  }

  choice() {
    const names = { dataset: "dataset", chosen: "chosen or not", score: "score" };
    const options = Object.entries(names).map(([value, name]) => h("option", { value }, name));
    const select = h("select", { id: newId("map") }, options);
    select.addEventListener("change", () => {
      this.by = select.value;
      this.draw();
    });
    return h("div", { class: "pair" }, h("label", { for: select.id }, "Colour by"), select);
  }

  draw() {
    const width = this.canvas.clientWidth;
    if (width === 0) return;
    const scale = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(HEIGHT * scale);
    this.lay(width);
    const pen = this.canvas.getContext("2d");
    pen.scale(scale, scale);
    const { groups, keys } = this.groups();
    const size = Math.min(MOST_SIZE, Math.max(LEAST_SIZE, 700 / Math.sqrt(this.x.length)));
    for (const { colour, points } of groups) {
      pen.fillStyle = getComputedStyle(this.canvas).getPropertyValue(colour.name);
      pen.globalAlpha = colour.alpha;
      for (const index of points) pen.fillRect(this.x[index] - size / 2, this.y[index] - size / 2, size, size);
    }
    replace(this.legend, keys);
  }

  /** Place the points on the canvas, and in the grid. */
  lay(width) {
    const { x, y } = this.found;
    const across = scaled(x, MARGIN, width - MARGIN);
    const down = scaled(y, HEIGHT - MARGIN, MARGIN);
    this.x = x.map(across);
    this.y = y.map(down);
    this.columns = Math.ceil(width / CELL);
    this.grid = new Map();
    for (let index = 0; index < x.length; index += 1) {
      const cell = this.cell(this.x[index], this.y[index]);
      const held = this.grid.get(cell);
      if (held) held.push(index);
      else this.grid.set(cell, [index]);
    }
  }

  cell(x, y) {
    return Math.floor(y / CELL) * this.columns + Math.floor(x / CELL);
  }

  /** The points by colour, those that matter most drawn last. */
  groups() {
    const { dataset, chosen, score: scores, datasets } = this.found;
    if (this.by === "chosen") {
      const names = ["--pool", "--other", "--chosen"];
      const of = (index) => (chosen[index] ? 2 : dataset[index] === 0 ? 1 : 0);
      const words = [key("pool", "not chosen"), key("other", "of the primary"), key("chosen", "chosen")];
      return { groups: grouped(dataset.length, of, names.map(solid)), keys: words };
    }
    if (this.by === "score") {
      const known = scores.filter((each) => each !== null).sort((a, b) => a - b);
      const bounds = Array.from(
        { length: SHADES - 1 },
        (_, index) => known[Math.floor((known.length * (index + 1)) / SHADES)],
      );
      const shade = (value) => bounds.filter((bound) => value >= bound).length;
      const of = (index) => (scores[index] === null ? SHADES : shade(scores[index]));
      const colours = bounds.map((_, index) => ({ name: "--chosen", alpha: 0.15 + (0.85 * index) / SHADES }));
      const all = [...colours, solid("--chosen"), solid("--other")];
      return {
        groups: grouped(dataset.length, of, all),
        keys: [key("chosen", "the darker, the higher"), key("other", "of the primary")],
      };
    }
    const colours = datasets.map((_, index) => solid(`--series-${index % SERIES}`));
    const keys = datasets
      .slice(0, SERIES)
      .map((name, index) => key(`series-${index}`, index === 0 ? `${name} (primary)` : name));
    return { groups: grouped(dataset.length, (index) => dataset[index], colours), keys };
  }

  point(event) {
    const box = this.canvas.getBoundingClientRect();
    const index = this.nearest(event.clientX - box.left, event.clientY - box.top);
    if (index === null || index === this.at) return;
    this.at = index;
    clearTimeout(this.timer);
    this.tell(index, null);
    this.timer = setTimeout(() => this.read(index), WAIT_MS);
  }

  nearest(x, y) {
    let best = null;
    let least = REACH * REACH;
    for (const down of [-CELL, 0, CELL]) {
      for (const across of [-CELL, 0, CELL]) {
        for (const index of this.grid.get(this.cell(x + across, y + down)) || []) {
          const far = (this.x[index] - x) ** 2 + (this.y[index] - y) ** 2;
          if (far < least) [best, least] = [index, far];
        }
      }
    }
    return best;
  }

  async read(index) {
    const { dataset, row, datasets } = this.found;
    const path = `/v1/datasets/${this.ids.get(datasets[dataset[index]])}/rows/${row[index]}`;
    if (!this.texts.has(path))
      this.texts.set(
        path,
        get(path, this.signal).catch(() => null),
      );
    const text = await this.texts.get(path);
    if (this.at === index) this.tell(index, text);
  }

  tell(index, text) {
    const { dataset, row, datasets, chosen, score: scores } = this.found;
    const told = [`row ${count(row[index])} of ${datasets[dataset[index]]}`];
    if (scores[index] !== null) told.push(`score ${score(scores[index])}`, chosen[index] ? "chosen" : "not chosen");
    if (text) told.push(`label ${text.label}`);
    const texts = text && [text.text_a, text.text_b].filter(Boolean).map((each) => h("span", { class: "text" }, each));
    replace(this.told, h("b", {}, told.join(", ")), texts);
  }

  summary() {
    const { dataset, chosen, datasets } = this.found;
    const rows = chosen.filter(Boolean).length;
    return `A map of ${many(dataset.length, "row")} of ${datasets.join(", ")}; ${count(rows)} of them are chosen.`;
  }
}

function solid(name) {
  return { name, alpha: 1 };
}

function grouped(length, of, colours) {
  const groups = colours.map((colour) => ({ colour, points: [] }));
  for (let index = 0; index < length; index += 1) groups[of(index)].points.push(index);
  return groups;
}

/** A function from the values' range onto another. */
function scaled(values, from, to) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const reach = high - low || 1;
  return (value) => from + ((to - from) * (value - low)) / reach;
}

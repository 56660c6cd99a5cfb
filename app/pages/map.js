/** The map: a point a row; the row that is pointed at, or gone to by the arrow keys, is read from the service. */

import { get, problemBox } from "./api.js";
import { h, newId, replace } from "./dom.js";
import { count, many, score } from "./format.js";
import { colour, NAMES } from "./map_colours.js";
import { Plane } from "./plane.js";

/** Pixels between the pointer and the nearest point, at most. */
const REACH = 12;
const WAIT_MS = 120;
const TURN = 1.25;
/** Of a wheel, in its own unit: one notch turns by TURN. */
const NOTCH = 100;
const ARROWS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
const HOW = [
  "Point at a row to read it, or go from row to row by the arrow keys. Drag to move, ",
  "zoom by the buttons, by + and −, or by the wheel once the map has the focus; 0 shows everything.",
];

/** The section; nothing where no map was asked for. */
export function mapSection(job, signal) {
  const place = h("div", { class: "stack" }, h("p", { class: "muted" }, "Being read."));
  const read = () =>
    get(`/v1/jobs/${job.id}/map`, signal)
      .then((found) => new RowMap(job, found, signal, place))
      .catch((problem) => signal.aborted || replace(place, problemBox(problem)));
  whenNear(place, signal, read);
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, "Where the rows lie"),
    h("p", {}, "Rows that say like things lie near one another; how far groups are from each other means little."),
    place,
  );
}

/** Do something when an element comes near the window: a large map is not what one waits for first. */
function whenNear(element, signal, act) {
  const near = ([entry]) => {
    if (!entry.isIntersecting) return;
    watch.disconnect();
    act();
  };
  const watch = new IntersectionObserver(near, { rootMargin: "25%" });
  watch.observe(element);
  signal.addEventListener("abort", () => watch.disconnect());
}

class RowMap {
  constructor(job, found, signal, place) {
    Object.assign(this, { found, signal, by: "dataset", texts: new Map(), timer: null, held: null });
    this.ids = new Map(job.datasets.map((each) => [each.key, each.id]));
    const how = h("p", { class: "help", id: newId("map") }, HOW);
    const label = { role: "application", "aria-label": this.summary(), "aria-describedby": how.id };
    this.canvas = h("canvas", { class: "map", tabindex: "0", ...label });
    this.legend = h("p", { class: "legend" });
    this.told = h("p", { class: "told", "aria-live": "polite" }, "No row is pointed at.");
    this.plane = new Plane(this.canvas, found.x, found.y);
    replace(place, this.controls(), this.legend, this.canvas, how, this.told);
    this.listen();
    this.colour();
  }

  controls() {
    const select = h(
      "select",
      { id: newId("map") },
      Object.entries(NAMES).map(([value, name]) => h("option", { value }, name)),
    );
    select.addEventListener("change", () => {
      this.by = select.value;
      this.colour();
    });
    const button = (name, factor) =>
      h("button", { type: "button", on: { click: () => this.plane.zoom(factor) } }, name);
    return h(
      "div",
      { class: "filters" },
      h("span", { class: "pair" }, h("label", { for: select.id }, "Colour by"), select),
      h("span", { class: "pair" }, button("Closer", 2), button("Farther", 0.5), button("Everything", 0)),
    );
  }

  listen() {
    const { canvas, plane, signal } = this;
    const on = (event, act, options = {}) => canvas.addEventListener(event, act, options);
    on("pointerdown", (event) => this.hold(event));
    on("pointermove", (event) => (this.held ? this.drag(event) : this.point(event)));
    for (const end of ["pointerup", "pointercancel"]) on(end, () => (this.held = null));
    on("wheel", (event) => this.turn(event), { passive: false });
    on("keydown", (event) => this.press(event));
    const watch = new ResizeObserver(() => plane.draw());
    watch.observe(canvas);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", () => this.colour(), { signal });
    signal.addEventListener("abort", () => {
      watch.disconnect();
      clearTimeout(this.timer);
    });
  }

  colour() {
    const style = getComputedStyle(this.canvas);
    const { pixels, order, keys } = colour(this.found, this.by, (name) => style.getPropertyValue(name));
    this.plane.paint(pixels, order, style.color);
    replace(this.legend, keys);
  }

  hold(event) {
    this.point(event);
    this.held = [event.clientX, event.clientY];
    this.canvas.setPointerCapture(event.pointerId);
  }

  drag(event) {
    const [x, y] = this.held;
    this.held = [event.clientX, event.clientY];
    this.plane.move(event.clientX - x, event.clientY - y);
  }

  /** The wheel is the page's own until the map has the focus; a pinch comes as a wheel with Ctrl. */
  turn(event) {
    if (!event.ctrlKey && document.activeElement !== this.canvas) return;
    event.preventDefault();
    this.plane.zoom(TURN ** (-event.deltaY / NOTCH), this.at(event));
  }

  press(event) {
    const turns = { "+": TURN, "=": TURN, "-": 1 / TURN, 0: 0 };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in turns) this.plane.zoom(turns[event.key]);
    else if (event.key in ARROWS) this.step(...ARROWS[event.key]);
    else return;
    event.preventDefault();
  }

  step(right, down) {
    const next = this.plane.next(right, down);
    if (next === null) return;
    this.show(next);
    this.plane.go(next);
  }

  point(event) {
    this.show(this.plane.nearest(...this.at(event), REACH));
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left - this.canvas.clientLeft, event.clientY - box.top - this.canvas.clientTop];
  }

  /** Tell of a point at once what is known of it, and a moment later what it says. */
  show(index) {
    if (index === null || index === this.plane.marked) return;
    this.plane.mark(index);
    clearTimeout(this.timer);
    this.tell(index, null);
    this.timer = setTimeout(() => this.read(index), WAIT_MS);
  }

  async read(index) {
    const { dataset, row, datasets } = this.found;
    const path = `/v1/datasets/${this.ids.get(datasets[dataset[index]])}/rows/${row[index]}`;
    if (!this.texts.has(path)) this.texts.set(path, get(path, this.signal).catch(() => null));
    const text = await this.texts.get(path);
    if (this.plane.marked === index) this.tell(index, text);
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

/** Loss curves, from the metrics that steps tell while they train. */

import { numbers } from "./bars.js";
import { lineChart } from "./chart.js";
import { h, replace } from "./dom.js";

const KINDS = {
  discriminator: "TD-MTDNN, which learns to tell the tasks apart",
  target: "TO-MTDNN, on the primary and the arm's rows",
  finetune: "Fine-tuning, on the primary alone",
};
const SETTLE_MS = 250;
const MOST_LINES = 18;

/** Takes events, and draws soon after the last that came. */
export class Losses {
  constructor(signal) {
    this.element = h("details", { class: "panel", hidden: true }, h("summary", {}, "How the trainings went"));
    this.place = h("div", { class: "stack" });
    this.element.append(this.place);
    this.steps = new Map();
    this.timer = null;
    this.element.addEventListener("toggle", () => this.draw());
    signal.addEventListener("abort", () => clearTimeout(this.timer));
  }

  /** Take what a step measured; a new attempt at the step begins its line again from that epoch on. */
  add({ data }) {
    if (typeof data.epoch !== "number" || typeof data.loss !== "number") return;
    const step = this.steps.get(data.step) || { name: data.step, kind: data.kind, losses: new Map() };
    step.losses.set(data.epoch, data.loss);
    this.steps.set(data.step, step);
    this.element.hidden = false;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.draw(), SETTLE_MS);
  }

  /** Draw one chart for every kind of training. */
  draw() {
    if (!this.element.open) return;
    const kinds = [...new Set([...this.steps.values()].map((each) => each.kind))];
    replace(
      this.place,
      kinds.map((kind) => this.chart(kind)),
    );
  }

  chart(kind) {
    const steps = [...this.steps.values()].filter((each) => each.kind === kind);
    const shown = steps.slice(0, MOST_LINES);
    const epochs = [...new Set(shown.flatMap((each) => [...each.losses.keys()]))].sort((a, b) => a - b);
    const lines = shown.map((each) => ({
      name: each.name,
      values: epochs.map((epoch) => each.losses.get(epoch) ?? null),
    }));
    const title = `Loss by epoch: ${KINDS[kind] || kind}`;
    const columns = [
      { name: "Epoch", cell: (row) => String(row.epoch), kind: "number" },
      ...lines.map((line, index) => ({
        name: line.name,
        cell: (row) => row.values[index]?.toFixed(4) ?? "",
        kind: "number",
      })),
    ];
    const rows = epochs.map((epoch, index) => ({ epoch, values: lines.map((line) => line.values[index]) }));
    const left = steps.length - shown.length;
    return h(
      "div",
      {},
      lineChart(title, "epoch", epochs, lines),
      left > 0 && h("p", { class: "muted" }, `${left} more trainings are not drawn.`),
      numbers(title, rows, columns),
    );
  }
}

/** Points on a canvas: where they lie, which of them is near, and what is drawn. It knows neither words nor service. */

const MARGIN = 12;
/** Pixels of a point: few are drawn larger, and so are those that one has come near to. */
const LEAST_SIZE = 2;
const MOST_SIZE = 9;
const MOST_ZOOM = 500;
/** Cells of the grid that finds a point, on either side. */
const CELLS = 128;
/** Pixels that an arrow key moves at least: what lies nearer is reached by zooming in. */
const LEAST_STEP = 3;

export class Plane {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {number[]} x rising to the right
   * @param {number[]} y rising upwards
   */
  constructor(canvas, x, y) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.x = spread(x);
    this.y = spread(y).map((value) => 1 - value);
    this.grid = new Grid(this.x, this.y);
    this.view = { zoom: 1, left: 0, top: 0 };
    this.marked = null;
    this.waiting = false;
  }

  /** Take on colours: a pixel a point, and the points in the order in which they are drawn. */
  paint(pixels, order, ink) {
    Object.assign(this, { pixels, order, ink });
    this.draw();
  }

  /** Draw before the next frame, however often it is asked for. */
  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      if (this.canvas.clientWidth > 0 && this.order) this.fill();
    });
  }

  /** Show more or less, a point of the canvas staying where it is. */
  zoom(factor, [x, y] = this.middle()) {
    const { zoom, left, top } = this.view;
    const next = Math.min(MOST_ZOOM, Math.max(1, zoom * factor));
    const [across, down] = [(x - MARGIN) / this.width, (y - MARGIN) / this.height];
    this.look(next, left + across * (1 / zoom - 1 / next), top + down * (1 / zoom - 1 / next));
  }

  /** Move what is seen by pixels. */
  move(x, y) {
    const { zoom, left, top } = this.view;
    this.look(zoom, left - x / (zoom * this.width), top - y / (zoom * this.height));
  }

  look(zoom, left, top) {
    const most = 1 - 1 / zoom;
    this.view = { zoom, left: Math.min(most, Math.max(0, left)), top: Math.min(most, Math.max(0, top)) };
    this.canvas.classList.toggle("near", zoom > 1);
    this.draw();
  }

  /** Put a ring around a point. */
  mark(index) {
    this.marked = index;
    this.draw();
  }

  /** Put a ring around a point, and move so that it is seen. */
  go(index) {
    this.mark(index);
    const [x, y] = this.place(index);
    const off = (at, size) => (at < MARGIN || at > size + MARGIN ? size / 2 + MARGIN - at : 0);
    this.move(off(x, this.width), off(y, this.height));
  }

  /** Pixels of the canvas, the margin left out. */
  get width() {
    return this.canvas.clientWidth - 2 * MARGIN;
  }

  get height() {
    return this.canvas.clientHeight - 2 * MARGIN;
  }

  middle() {
    return this.marked === null ? [this.width / 2 + MARGIN, this.height / 2 + MARGIN] : this.place(this.marked);
  }

  /** Where a point is on the canvas. */
  place(index) {
    const { zoom, left, top } = this.view;
    return [
      MARGIN + (this.x[index] - left) * zoom * this.width,
      MARGIN + (this.y[index] - top) * zoom * this.height,
    ];
  }

  /** The point nearest to a place of the canvas, no farther than so many pixels; null where there is none. */
  nearest(x, y, reach) {
    const { zoom, left, top } = this.view;
    const [wide, high] = [zoom * this.width, zoom * this.height];
    const [middle, level] = [left + (x - MARGIN) / wide, top + (y - MARGIN) / high];
    let best = null;
    let least = reach * reach;
    const [across, along] = [reach / wide, reach / high];
    this.grid.within(middle - across, level - along, middle + across, level + along, (index) => {
      const far = ((this.x[index] - middle) * wide) ** 2 + ((this.y[index] - level) * high) ** 2;
      if (far < least) [best, least] = [index, far];
    });
    return best;
  }

  /** The next point from the marked one in a direction, (1, 0) to the right; the marked one where there is none. */
  next(right, down) {
    const [x, y] = this.middle();
    let best = this.marked;
    let least = Infinity;
    for (let index = 0; index < this.x.length; index += 1) {
      const place = this.place(index);
      const [across, along] = [place[0] - x, place[1] - y];
      const ahead = across * right + along * down;
      const aside = Math.abs(across * down) + Math.abs(along * right);
      if (ahead < LEAST_STEP || aside > ahead || ahead + 2 * aside >= least) continue;
      [best, least] = [index, ahead + 2 * aside];
    }
    return best;
  }

  /** Write every point's pixels: a hundred thousand take some milliseconds so, and many times that as shapes. */
  fill() {
    const scale = window.devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.canvas;
    const [width, height] = [clientWidth, clientHeight].map((size) => Math.round(size * scale));
    if (this.image?.width !== width || this.image.height !== height) {
      [this.canvas.width, this.canvas.height] = [width, height];
      this.image = this.pen.createImageData(width, height);
      this.target = new Uint32Array(this.image.data.buffer);
    }
    const { zoom, left, top } = this.view;
    const few = Math.max(LEAST_SIZE, 700 / Math.sqrt(this.x.length));
    const side = Math.max(1, Math.round(Math.min(MOST_SIZE, few * Math.sqrt(Math.sqrt(zoom))) * scale));
    const [wide, high] = [zoom * this.width * scale, zoom * this.height * scale];
    const [across, down] = [MARGIN * scale - left * wide - side / 2, MARGIN * scale - top * high - side / 2];
    this.target.fill(0);
    for (let place = 0; place < this.order.length; place += 1) {
      const index = this.order[place];
      const x = Math.round(across + this.x[index] * wide);
      const y = Math.round(down + this.y[index] * high);
      if (x >= 0 && y >= 0 && x + side <= width && y + side <= height) this.square(y * width + x, side, index);
    }
    this.pen.putImageData(this.image, 0, 0);
    if (this.marked !== null) this.ring(scale);
  }

  square(start, side, index) {
    const colour = this.pixels[index];
    const { width } = this.image;
    for (let row = start; row < start + side * width; row += width) {
      for (let at = row; at < row + side; at += 1) this.target[at] = colour;
    }
  }

  ring(scale) {
    const [x, y] = this.place(this.marked);
    this.pen.lineWidth = 2 * scale;
    this.pen.strokeStyle = this.ink;
    this.pen.beginPath();
    this.pen.arc(x * scale, y * scale, 8 * scale, 0, 2 * Math.PI);
    this.pen.stroke();
  }
}

/** Finds points by where they are: those of a cell lie behind one another in a list. */
class Grid {
  constructor(x, y) {
    const cells = Uint32Array.from(x, (_, index) => cellOf(y[index]) * CELLS + cellOf(x[index]));
    this.starts = new Uint32Array(CELLS * CELLS + 1);
    for (const cell of cells) this.starts[cell + 1] += 1;
    for (let cell = 0; cell < CELLS * CELLS; cell += 1) this.starts[cell + 1] += this.starts[cell];
    const ends = this.starts.slice(0, -1);
    this.points = new Uint32Array(x.length);
    for (let index = 0; index < cells.length; index += 1) {
      this.points[ends[cells[index]]] = index;
      ends[cells[index]] += 1;
    }
  }

  /** Call with every point of the cells that a rectangle touches. */
  within(left, top, right, bottom, take) {
    for (let row = cellOf(top); row <= cellOf(bottom); row += 1) {
      const [from, to] = [row * CELLS + cellOf(left), row * CELLS + cellOf(right)];
      for (let place = this.starts[from]; place < this.starts[to + 1]; place += 1) take(this.points[place]);
    }
  }
}

function cellOf(value) {
  return Math.min(CELLS - 1, Math.max(0, Math.floor(value * CELLS)));
}

/** The values over their range, from 0 to 1. */
function spread(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const reach = high - low || 1;
  return Float32Array.from(values, (value) => (value - low) / reach);
}

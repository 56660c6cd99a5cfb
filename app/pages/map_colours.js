/** What colours the points of a map, and in which order they are drawn: those that matter most last, on top. */

import { key } from "./shares.js";

const SERIES = 6;
const SHADES = 8;

/** By name: what makes {colours, of, keys} of a map; `of` gives a point's place among the colours. */
const WAYS = { dataset: byDataset, chosen: byChosen, score: byScore };
export const NAMES = { dataset: "dataset", chosen: "chosen or not", score: "score" };

/**
 * Colour a map.
 * @param {Object} found the map as the service sends it
 * @param {string} by a name of NAMES
 * @param {function(string): string} read the colour that a style sheet's variable has now
 * @returns {{pixels: Uint32Array, order: Uint32Array, keys: HTMLElement[]}}
 */
export function colour(found, by, read) {
  const { colours, of, keys } = WAYS[by](found, (name) => parsed(read(name)));
  const places = Uint8Array.from(found.row, (_, index) => of(index));
  const shades = Uint32Array.from(colours, pixel);
  const pixels = Uint32Array.from(places, (place) => shades[place]);
  return { pixels, order: sorted(places, colours.length), keys };
}

/** The points by their place among the colours, and as they come within one. */
function sorted(places, many) {
  const starts = new Uint32Array(many + 1);
  for (const place of places) starts[place + 1] += 1;
  for (let place = 0; place < many; place += 1) starts[place + 1] += starts[place];
  const order = new Uint32Array(places.length);
  for (let index = 0; index < places.length; index += 1) {
    order[starts[places[index]]] = index;
    starts[places[index]] += 1;
  }
  return order;
}

function byDataset({ datasets, dataset }, read) {
  const shown = datasets.slice(0, SERIES);
  const left = datasets.length - shown.length;
  const keys = shown.map((name, index) => key(`series-${index}`, index === 0 ? `${name} (primary)` : name));
  return {
    colours: [read("--pool"), ...shown.map((_, index) => read(`--series-${index}`)).reverse()],
    of: (index) => (dataset[index] < SERIES ? shown.length - dataset[index] : 0),
    keys: left > 0 ? [...keys, key("pool", left === 1 ? datasets[SERIES] : `${left} others`)] : keys,
  };
}

function byChosen({ dataset, chosen }, read) {
  return {
    colours: ["--pool", "--other", "--chosen"].map(read),
    of: (index) => (chosen[index] ? 2 : dataset[index] === 0 ? 1 : 0),
    keys: [key("pool", "not chosen"), key("other", "of the primary"), key("chosen", "chosen")],
  };
}

/** Shades hold as many rows each: scores often lie close together. */
function byScore({ dataset, score: scores }, read) {
  const known = Float64Array.from(scores.filter((each) => each !== null)).sort();
  const bound = (share) => known[Math.floor(known.length * share)];
  const bounds = Array.from({ length: SHADES - 1 }, (_, index) => bound((index + 1) / SHADES));
  const [pale, full] = [read("--line"), read("--chosen")];
  const shade = (place) => pale.map((part, index) => part + ((full[index] - part) * place) / (SHADES - 1));
  return {
    colours: [read("--other"), ...Array.from({ length: SHADES }, (_, place) => shade(place))],
    of: (index) => (dataset[index] === 0 ? 0 : 1 + shadeOf(scores[index], bounds)),
    keys: [key("chosen", "the stronger, the higher"), key("other", "of the primary")],
  };
}

/** The place of a score among the bounds; the palest where there is none. */
function shadeOf(score, bounds) {
  let place = 0;
  while (place < bounds.length && score !== null && score >= bounds[place]) place += 1;
  return place;
}

function parsed(text) {
  return [1, 3, 5].map((at) => parseInt(text.trim().slice(at, at + 2), 16));
}

/** Red, green and blue as a canvas keeps them. */
function pixel(parts) {
  const bytes = Uint8ClampedArray.of(...parts, 255);
  return new Uint32Array(bytes.buffer)[0];
}

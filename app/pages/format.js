/** Numbers and times in words. */

const WHOLE = new Intl.NumberFormat("en");
const SHORT = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });

/** 12345 as 12,345. */
export function count(number) {
  return WHOLE.format(number);
}

/** 0.123 as 12.3 %. */
export function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

/** A score: as many digits as tell two apart. */
export function score(value) {
  const size = Math.abs(value);
  return size >= 100 ? value.toFixed(1) : size >= 0.001 || value === 0 ? value.toFixed(4) : value.toExponential(2);
}

/** Seconds as people say them. */
export function duration(seconds) {
  if (seconds < 1) return "under 1 s";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${(seconds / 3600).toFixed(1)} h`;
  return `${(seconds / 86400).toFixed(1)} days`;
}

/** Bytes as people say them. */
export function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** A moment, in the reader's own time. */
export function moment(text) {
  return text ? SHORT.format(new Date(text)) : "";
}

/** `1 row`, `2 rows`. */
export function many(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** The same name as a row number is told: counted from 0, as in the service's own messages. */
export function rowName(row) {
  return `row ${count(row)}`;
}

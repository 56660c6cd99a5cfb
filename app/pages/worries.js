/** What is worth knowing about a dataset before it is used. */

import { many } from "./format.js";

const FEW_ROWS = 5;
const NAMED = 5;

/** Sentences: how the file was read, rows that repeat others, classes with hardly a row. */
export function worries(dataset) {
  const told = [...dataset.warnings];
  if (dataset.duplicates > 0) {
    const verb = dataset.duplicates === 1 ? "says" : "say";
    told.push(`${many(dataset.duplicates, "row")} ${verb} what an earlier row says already.`);
  }
  const small = dataset.labels.filter((each) => each.rows < FEW_ROWS).map((each) => each.label);
  if (small.length > 0) {
    const more = small.length > NAMED ? ` and ${many(small.length - NAMED, "other")}` : "";
    told.push(`Fewer than five rows each have the label ${small.slice(0, NAMED).join(", ")}${more}.`);
  }
  return told;
}

"""Writes the tables of docs/performance.md from benchmarks/results/*.json; the words between them are by hand.

    python benchmarks/speed/page.py     # between <!-- NAME --> and <!-- end --> in docs/performance.md

A table is what `tables` returns under its name, so a figure in the page cannot differ from the results.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"
RESULTS = ROOT / "benchmarks" / "results"

Json = dict[str, Any]


def read(folder: Path = RESULTS) -> dict[str, Json]:
    """Return the results that are there, by the name of their file."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def tables(results: Mapping[str, Json]) -> dict[str, str]:
    """Return as Markdown every table of which there are results."""
    return {name: made(results[name]) for name, made in TABLES.items() if name in results}


def scoring(result: Json) -> str:
    """Return what scoring reached."""
    speed = result["rows_per_second"]
    return markdown(
        ["", "rows/s", "rows scored"],
        [
            ["published loop", told(speed["published"]), f"{result['rows']['published']:,}"],
            ["ours", told(speed["ours"]), f"{result['rows']['ours']:,}"],
            ["**ratio**", f"**{told(result['ratio'])}**", ""],
            ["rank correlation with float32, least column", f"{result['rank_correlation_with_fp32']:.5f}", ""],
            ["bf16 product of matrices, GFLOP/s", told(result["bf16_matmul_gflops"]), ""],
            ["share of that rate on real tokens", told(result["share_of_matmul_rate"]), ""],
        ],
    )


def training(result: Json) -> str:
    """Return what each training reached."""
    names = {"td_mtdnn": "TD-MTDNN", "to_mtdnn": "TO-MTDNN", "finetuning": "fine-tuning"}
    rows = []
    for name, each in result["trainings"].items():
        speed, loss = each["rows_per_second"], each["last_loss_by_seed"]
        losses = [", ".join(f"{value:.3f}" for value in loss[side]) for side in ("published", "ours")]
        rows.append([names[name], told(speed["published"]), told(speed["ours"]), f"**{told(each['ratio'])}**", *losses])
    head = ["training", "published, rows/s", "ours, rows/s", "ratio", "last loss by seed, published", "ours"]
    return markdown(head, rows)


def job(result: Json) -> str:
    """Return the whole job beside the published procedure and full MT-DNN."""
    seconds = result["seconds"]
    rows = []
    for end in ("selection", "model"):
        took = [told(seconds[side][end]) if side in seconds else "" for side in ("published", "ours")]
        rows.append([f"to the {end}", *took, f"**{told(result['ratio'][end])}**" if "ratio" in result else ""])
    full, over = result["full_mtdnn_seconds"], result["full_mtdnn_over_our_job"]
    rows += [
        [f"full MT-DNN, {side} loop (reckoned)", f"{full[side]:,.0f}", "", f"{told(over[side])} of our job"]
        for side in ("published", "ours")
    ]
    return markdown(["", "published, s", "ours, s", "ratio"], rows)


def top(result: Json) -> str:
    """Return the best N against a sort."""
    rows = []
    for key, where in (("of_files", "shards on disk, read included"), ("of_arrays", "in memory")):
        took = [told(result[key]["seconds"][side]) for side in ("argsort", "ours")]
        rows.append([where, *took, f"**{told(result[key]['ratio'])}**"])
    peak = result["of_files"]["peak_mib"]
    rows.append(["memory at the peak, MiB", told(peak["argsort"]), told(peak["ours"]), ""])
    return markdown([f"{result['scores']:,} scores, {result['shards']} shards", "argsort, s", "ours, s", "ratio"], rows)


def requests(result: Json) -> str:
    """Return how long requests waited."""
    rows = [
        [name, f"{load['rate']:g}/s, one in {load['submit_every']} submits", f"{each['requests']:,}"]
        + [f"{each[key]:g}" for key in ("p50", "p90", "p99", "p100")]
        for load in result["loads"]
        for name, each in load["ms"].items()
    ]
    return markdown(["request", "load", "requests", "p50, ms", "p90", "p99", "slowest"], rows)


def tokenising(result: Json) -> str:
    """Return tokenising against a plain loop."""
    speed = result["rows_per_second"]
    rows = [["plain loop", told(speed["plain"])], ["ours", told(speed["ours"])]]
    return markdown(["", "rows/s"], [*rows, ["**ratio**", f"**{told(result['ratio'])}**"]])


def looks(result: Json) -> str:
    """Return how soon the web page is useful, and how smooth its map is."""
    rows = [[name, told(each)] for name, each in result["view_milliseconds"].items()]
    rows += [[f"rows: {name}", told(each)] for name, each in result["table_milliseconds"].items()]
    for name, each in result["map_frame_milliseconds"].items():
        if "median" in each:
            frame = f"{each['median']:g} (19 of 20 within {each['p95']:g}, the longest {each['most']:g})"
            rows.append([f"map of {result['points']:,} points: a frame {name}", frame])
    return markdown(["", "ms"], rows)


TABLES: dict[str, Callable[[Json], str]] = {
    "scoring_cpu_384": scoring,
    "training_cpu_384": training,
    "job": job,
    "top": top,
    "requests": requests,
    "tokenising": tokenising,
    "looks": looks,
}


def told(spread: Mapping[str, float]) -> str:
    """`1,020 (980 to 1,040)`: the median of the turns, and the lowest and highest."""
    low, median, high = (_number(spread[key]) for key in ("low", "median", "high"))
    return median if low == high else f"{median} ({low} to {high})"


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def filled(page: str, made: Mapping[str, str]) -> str:
    """Return the page with every table between its marks."""
    for name, table in made.items():
        page, count = re.subn(
            rf"<!-- {name} -->.*?<!-- end -->",
            lambda _, name=name, table=table: f"<!-- {name} -->\n\n{table}\n\n<!-- end -->",
            page,
            flags=re.DOTALL,
        )
        assert count == 1, f"{name} has no place in the page"
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(), tables(read())))

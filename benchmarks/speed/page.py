"""Writes the tables of docs/performance.md from benchmarks/results/*.json; the words between them are by hand.

    python benchmarks/speed/page.py              # between <!-- NAME --> and <!-- end --> in docs/performance.md
    python benchmarks/speed/page.py --figure     # and docs/performance-growth.svg

A table is what `tables` returns under its name, so a figure in the page cannot differ from the results.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"
RESULTS = ROOT / "benchmarks" / "results"
FIGURE = ROOT / "docs" / "performance-growth.svg"

Json = dict[str, Any]


def read(folder: Path = RESULTS) -> dict[str, Json]:
    """Return the results that are there, by the name of their file."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def tables(results: Mapping[str, Json]) -> dict[str, str]:
    """Return as Markdown every table of which there are results."""
    return {name: made(results[name]) for name, made in TABLES.items() if name in results}


def scoring(result: Json) -> str:
    """Return what scoring reached; an older result does not tell scoring with its tokens made apart."""
    speed, made = result["rows_per_second"], "ours, tokens made"
    rows = [
        ["published loop", told(speed["published"]), f"{result['rows']['published']:,}"],
        ["ours", told(speed["ours"]), f"{result['rows']['ours']:,}"],
        *([["ours, where the tokens are made", told(speed[made]), ""]] if made in speed else []),
        ["**ratio**", f"**{told(result['ratio'])}**", ""],
        ["rank correlation with float32, least column", f"{result['rank_correlation_with_fp32']:.5f}", ""],
        ["bf16 product of matrices, GFLOP/s", told(result["bf16_matmul_gflops"]), ""],
        ["share of that rate on real tokens", told(result["share_of_matmul_rate"]), ""],
    ]
    if made in speed:
        share = told(result["share_of_matmul_rate_tokens_made"])
        rows.append(["share of that rate where the tokens are made", share, ""])
    return markdown(["", "rows/s", "rows scored"], rows)


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
    steps = result.get("seconds_by_step", {})
    parts = ", ".join(f"{kind} {told(took)}" for kind, took in steps.items())
    where = f"\n\nSeconds of ours: {parts}." if steps else ""
    return markdown(["", "published, s", "ours, s", "ratio"], rows) + where


def cascade(result: Json) -> str:
    """Return what a cascade costs and finds, beside scoring everything."""
    rows = []
    for each in result["found"]:
        took = [f"{sum(each['seconds'][side].values()):.1f}" for side in ("everything", "cascade")]
        low, high = each["told"]["interval"]
        said = f"{each['told']['recall']:.3f} ({low:.2f} to {high:.2f})"
        rows.append(
            [each["primary"], str(each["slice_times"]), *took, f"{each['ratio']:.2f}", f"{each['overlap']:.3f}", said]
        )
    head = ["primary", "slice, budgets", "everything, s", "cascade, s", "ratio", "overlap", "recall that it tells"]
    return markdown(head, rows)


def growth(result: Json) -> str:
    """Return how cost grows."""
    rows = [
        [
            name,
            ", ".join(f"{size:,}" for size in curve["sizes"]),
            ", ".join(f"{took:.3g}" for took in curve["seconds"]),
            f"{curve['exponent']:.2f}",
        ]
        for name, curve in result["curves"].items()
    ]
    return markdown(["what grows", "sizes", "seconds", "exponent"], rows)


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


def again(result: Json) -> str:
    """Return what another budget and another primary cost."""
    first = result["first"]
    rows = [["the first job", f"{first['seconds']:,}", ", ".join(first["computed"])]]
    rows += [
        [name, told(result[name]["seconds"]), ", ".join(result[name]["computed"])]
        for name in ("another budget", "another primary")
    ]
    return markdown([f"{result['rows']:,} rows", "s to the selection", "computed"], rows)


def tokenising(result: Json) -> str:
    """Return tokenising against a plain loop."""
    speed = result["rows_per_second"]
    rows = [["plain loop", told(speed["plain"])], ["ours", told(speed["ours"])]]
    return markdown(["", "rows/s"], [*rows, ["**ratio**", f"**{told(result['ratio'])}**"]])


def upload(result: Json) -> str:
    """Return uploads against cp."""
    names = {
        "cp": "`cp`",
        "stream": "received and digested",
        "parse": "read into Parquet",
        "upload": "both, as a dataset",
    }
    speed, share = result["mib_per_second"], result["share_of_cp"]
    rows = [[name, told(speed[key]), told(share[key]) if key in share else ""] for key, name in names.items()]
    rows.append(["read into Parquet, of processor time", told(result["parsed_mib_per_processor_second"]), ""])
    return markdown([f"CSV of {result['mib']:,} MiB, {result['bytes_per_row']} bytes a row", "MiB/s", "of `cp`"], rows)


def idle(result: Json) -> str:
    """Return what the embedded stack takes while it waits, and how soon it answers."""
    rows = [
        [name, f"{each['pss']:.0f}", f"{each['rss']:.0f}", f"{each['uss']:.0f}"] for name, each in result["mib"].items()
    ]
    table = markdown(["at rest, MiB", "PSS", "RSS", "of its own"], rows)
    seconds = result["seconds"]
    times = [["first answer of the API", told(seconds["first_answer"])], ["`fastmtl --help`", told(seconds["help"])]]
    return f"{table}\n\n{markdown(['', 's'], times)}"


def memory(result: Json) -> str:
    """Return the peak of scoring few rows and many."""
    rows = [[f"{each['rows']:,}", f"{each['peak_mib']:,.0f}", f"{each['shards']}"] for each in result["runs"]]
    rows.append(["**growth**", f"**{100 * (result['ratio'] - 1):.1f} %**", ""])
    return markdown(["rows scored", "memory at the peak, MiB", "steps"], rows)


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
    "scoring_cuda_384": scoring,
    "scoring_cuda_768": scoring,
    "training_cpu_384": training,
    "training_cuda_384": training,
    "training_cuda_768": training,
    "job_part_cpu": job,
    "job_all_cuda": job,
    "cascade_cpu": cascade,
    "cascade_cuda": cascade,
    "growth_cpu_384": growth,
    "growth_cuda_384": growth,
    "top": top,
    "again": again,
    "requests": requests,
    "tokenising": tokenising,
    "upload": upload,
    "idle": idle,
    "memory": memory,
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


def draw(results: Mapping[str, Json], path: Path) -> None:
    """Draw how cost grows, a panel a curve, both axes logarithmic; dashed is what would be linear."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "fastmtl"
    machines = {name: results[f"growth_{name}_384"] for name in ("cuda", "cpu") if f"growth_{name}_384" in results}
    names = list(dict.fromkeys(name for result in machines.values() for name in result["curves"]))
    figure, panels = pyplot.subplots(2, -(-len(names) // 2), figsize=(11, 6.4), layout="constrained")
    for panel, name in zip(panels.flat, names, strict=False):
        for machine, colour in (("cuda", "#0072b2"), ("cpu", "#d55e00")):
            curve = machines.get(machine, {"curves": {}})["curves"].get(name)
            if curve is None:
                continue
            sizes, seconds = curve["sizes"], curve["seconds"]
            label = f"{'GPU' if machine == 'cuda' else 'CPU'}, exponent {curve['exponent']:.2f}"
            panel.loglog(sizes, seconds, "o-", color=colour, label=label)
            linear = [seconds[-1] * size / sizes[-1] for size in sizes]
            panel.loglog(sizes, linear, "--", color=colour, linewidth=0.8, alpha=0.6)
        ticks = sorted({size for result in machines.values() for size in result["curves"][name]["sizes"]})
        panel.set_xticks(ticks, [f"{size:,}" for size in ticks], fontsize=8, rotation=30)
        panel.minorticks_off()
        panel.set_title(name, fontsize=10)
        panel.set_ylabel("seconds")
        panel.legend(fontsize=8, loc="lower right")
    for panel in list(panels.flat)[len(names) :]:
        panel.remove()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figure", action="store_true", help="draw the figure too")
    given = parser.parse_args()
    results = read()
    PAGE.write_text(filled(PAGE.read_text(), tables(results)))
    if given.figure:
        draw(results, FIGURE)


if __name__ == "__main__":
    main()

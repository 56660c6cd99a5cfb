"""Writes the tables of docs/evidence.md from the raw results, and its figure; the words between them are by hand.

    python benchmarks/quality/page.py            # between <!-- NAME --> and <!-- end --> in docs/evidence.md
    python benchmarks/quality/page.py --figure   # and docs/evidence-gains.svg

A table is what `tables` returns under its name, so a figure in the page cannot differ from the results.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "evidence.md"
FIGURE = ROOT / "docs" / "evidence-gains.svg"
RESULTS = Path(__file__).parent / "results.jsonl"
PLANTED = Path(__file__).parent / "planted.jsonl"
LEAKS = ROOT / "benchmarks" / "results" / "leaks.jsonl"
PRIMARIES = ("rte", "mrpc", "stsb")
BUDGETS = (500, 125)
"""The first is that of the costs and the figure."""
MEASURABLE_SECONDS = 0.1
"""Of scoring; below it a rate says nothing."""
BASELINES = ("primary_only", "random_balanced")

Json = dict[str, Any]


def read(path: Path) -> list[Json]:
    """Return the lines of a file of results."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def tables(results: Sequence[Json], planted: Sequence[Json], leaks: Sequence[Json]) -> dict[str, str]:
    """Return every table of the page as Markdown, by name."""
    measured = {(line["primary"], line["report"]["config"]["budget"]) for line in results}
    gains = [pair for pair in product(PRIMARIES, BUDGETS) if pair in measured]
    return {
        **{f"{primary} {budget}": gains_table(results, primary, budget) for primary, budget in gains},
        "planted": planted_table(planted),
        "curve": curve_table(results),
        "guard": leaks_table(results),
        "leaks": planted_leaks_table(leaks),
        "natural": natural_leaks_table(leaks),
        "chosen": chosen_table(results),
        "cost": cost_table(results),
    }


def arms_of(results: Iterable[Json], primary: str, guard: str = "near", budget: int = BUDGETS[0]) -> dict[str, Json]:
    """Return, by arm, its summary, its gains and its cost, from all jobs of a budget on a primary; a later line wins.

    With another budget the primary alone takes another number of steps too, so nothing is compared across budgets.
    """
    found: dict[str, Json] = {}
    for line in results:
        config = line["report"]["config"]
        if (line["primary"], config["leak_guard"], config["budget"]) != (primary, guard, budget):
            continue
        report = line["report"]
        for arm, summary in report["arms"].items():
            name = label(config) if arm == "selection" else arm
            gains = {base: report["gains"].get(base, {}).get(arm) for base in BASELINES}
            found[name] = {**summary, "gains": gains, "cost": report["costs"].get(arm)}
    return found


def label(config: Json) -> str:
    """Return what a job's selection is called: its method, and for the discriminator its loss."""
    method: str = config["method"]
    return f"{method} ({config['discriminator']['loss']})" if method == "discriminator" else method


def whole(arms: Mapping[str, Json]) -> dict[str, Json]:
    """Return the arms that stand for a method or a baseline, the best mean first."""
    named = {name: arm for name, arm in arms.items() if not name.startswith(("best ", "without "))}
    return dict(sorted(named.items(), key=lambda item: -item[1]["metrics"][item[1]["headline"]]))


def gains_table(results: Sequence[Json], primary: str, budget: int) -> str:
    """Return what every arm reached on a primary, and its gains."""
    arms = whole(arms_of(results, primary, budget=budget))
    rows = []
    for name, arm in arms.items():
        headline = arm["headline"]
        figure = f"{100 * arm['metrics'][headline]:.1f} ± {100 * arm['spread'][headline]:.1f}"
        rows.append([f"`{name}`", figure, *(interval(arm["gains"][base]) for base in BASELINES)])
    metric = next(iter(arms.values()))["headline"]
    return markdown(["arm", metric, "gain over primary only", "gain over random balanced"], rows)


def interval(gain: Json | None) -> str:
    """`+1.2 (-0.4 to 2.8)`, in points; bold where it does not hold zero."""
    if gain is None:
        return ""
    told = f"{100 * gain['value']:+.1f} ({100 * gain['low']:.1f} to {100 * gain['high']:.1f})"
    return f"**{told}**" if gain["low"] > 0 or gain["high"] < 0 else told


def planted_table(planted: Sequence[Json]) -> str:
    """Return the share of hidden rows among the chosen, by method: each seed, and what a run took."""
    groups: dict[tuple[str, str, int], dict[int, Json]] = {}
    for line in planted:
        name = f"discriminator ({line['loss']})" if line["method"] == "discriminator" else line["method"]
        epochs = line["discriminator"]["epochs"] if line["method"] == "discriminator" else 0
        groups.setdefault((name, line["primary"], epochs), {})[line["seed"]] = line
    rows = []
    for (name, primary, epochs), seeds in sorted(groups.items(), key=lambda item: -_precision(item[1])):
        lines = [seeds[seed] for seed in sorted(seeds)]
        precision = ", ".join(f"{line['precision']:.2f}" for line in lines)
        spread = f" ± {stdev(line['precision'] for line in lines):.2f}" if len(lines) > 1 else ""
        rate = lines[-1]["rows_per_second"] if lines[-1]["seconds"] > MEASURABLE_SECONDS else None
        rows.append(
            [
                f"`{name}`" + (f", {epochs} epochs" if epochs else ""),
                primary.upper(),
                precision,
                f"{_precision(seeds):.2f}{spread}",
                f"{mean(line['seconds'] for line in lines):,.0f}",
                f"{rate:,.0f}" if rate else "",
                f"{max(line['peak_mib'] for line in lines):,}",
            ]
        )
    return markdown(["method", "rows of", "precision by seed", "mean", "seconds", "rows/s", "peak MiB"], rows)


def _precision(seeds: Mapping[int, Json]) -> float:
    return mean(line["precision"] for line in seeds.values())


def curve_table(results: Sequence[Json]) -> str:
    """Return the budget curve of every job that has one."""
    rows = []
    for line in results:
        curve = line["report"]["budget_curve"]
        if curve and line["report"]["config"]["leak_guard"] == "near":
            points = "; ".join(f"{each['budget']}: {100 * each['mean']:.1f}" for each in curve["points"])
            rows.append([line["primary"].upper(), points, str(curve["best"]), str(curve["recommended"])])
    return markdown(["primary", "budget: metric", "best", "recommended"], rows)


def leaks_table(results: Sequence[Json]) -> str:
    """Return each arm with the leak guard on and off."""
    rows = []
    for primary, budget in product(PRIMARIES, BUDGETS):
        on, off = (arms_of(results, primary, guard, budget) for guard in ("near", "off"))
        for name in [each for each in off if each in on and each != "primary_only"]:
            figures = [_figure(side[name]) for side in (on, off)]
            gain = interval(off[name]["gains"]["primary_only"])
            rows.append([primary.upper(), str(budget), f"`{name}`", *figures, gain])
    return markdown(["primary", "budget", "arm", "guard on", "guard off", "gain over primary only, guard off"], rows)


def planted_leaks_table(leaks: Sequence[Json]) -> str:
    """Return the share of planted leaks that were caught, by how they were changed, and false alarms."""
    planted = [line for line in leaks if "caught" in line]
    changes = [name for name in planted[0]["caught"] if "," not in name]
    rows = [
        [
            f"{line['held'].upper()} ({line['rows']:,})",
            str(line["planted"]),
            *(f"{100 * line['caught'][name]:.0f} %" for name in changes),
            f"{line['reported']} of {line['unplanted']:,}",
            str(line["false_alarms"]),
        ]
        for line in planted
    ]
    return markdown(["validation rows of", "planted", *changes, "others reported", "false alarms"], rows)


def natural_leaks_table(leaks: Sequence[Json]) -> str:
    """Return what stands in GLUE itself."""
    rows = [
        [
            line["held"].upper(),
            line["host"].upper(),
            str(line["held_rows_found_exactly"]),
            str(line["training_rows_kept_out"]),
        ]
        for line in leaks
        if "caught" not in line
    ]
    return markdown(["validation rows of", "training rows of", "found exactly", "training rows kept out"], rows)


def _figure(arm: Json) -> str:
    return f"{100 * arm['metrics'][arm['headline']]:.1f} ± {100 * arm['spread'][arm['headline']]:.1f}"


def chosen_table(results: Sequence[Json]) -> str:
    """Return where the chosen rows of each job's own method come from."""
    rows = []
    for line in results:
        report = line["report"]
        if report["config"]["leak_guard"] == "near":
            counts = report["selection"]["counts"]
            shares = sorted(counts.items(), key=lambda item: -item[1]["selected"])
            told = ", ".join(f"{key} {count['selected']}" for key, count in shares if count["selected"])
            leaked = sum(count["leaked"] for count in counts.values())
            config = report["config"]
            rows.append([line["primary"].upper(), str(config["budget"]), f"`{label(config)}`", told, str(leaked)])
    return markdown(["primary", "budget", "method", "chosen rows", "kept out as leaks"], rows)


def cost_table(results: Sequence[Json]) -> str:
    """Return what choosing took, by method and primary: seconds, rows a second, peak memory."""
    rows = []
    for primary in PRIMARIES:
        for name, arm in arms_of(results, primary).items():
            if (cost := arm["cost"]) and not name.startswith(("best ", "without ")):
                scored = sum(each["seconds"] for each in cost["steps"] if each["kind"] in ("score", "embed", "rank"))
                rate = cost["rows_per_second"] if scored >= MEASURABLE_SECONDS else None
                figures = [f"{cost['seconds']:,.0f}", f"{rate:,.0f}" if rate else "", f"{cost['bytes'] / 2**20:,.0f}"]
                rows.append([primary.upper(), f"`{name}`", *figures])
    return markdown(["primary", "method", "seconds", "rows/s", "peak MiB"], rows)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; equal rows once."""
    lines = [list(head), ["---"] * len(head), *dict.fromkeys(tuple(row) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def filled(page: str, found: Mapping[str, str]) -> str:
    """Return the page with every table anew."""
    for name, table in found.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        page = pattern.sub(lambda match, table=table: f"{match[1]}\n{table}\n\n{match[2]}", page)
    return page


def draw(results: Sequence[Json], path: Path) -> None:
    """Draw every arm's gain over the primary alone with its interval, a panel a primary."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "fastmtl"
    figure, panels = pyplot.subplots(1, len(PRIMARIES), figsize=(11, 4.2), sharex=True, layout="constrained")
    for panel, primary in zip(panels, PRIMARIES, strict=True):
        arms = {name: arm for name, arm in whole(arms_of(results, primary)).items() if arm["gains"]["primary_only"]}
        for place, (_name, arm) in enumerate(reversed(arms.items())):
            gain = arm["gains"]["primary_only"]
            sure = gain["low"] > 0 or gain["high"] < 0
            colour = "#0072b2" if sure else "#7f7f7f"
            panel.plot([100 * gain["low"], 100 * gain["high"]], [place, place], color=colour, linewidth=2)
            panel.plot(100 * gain["value"], place, "o", color=colour)
        panel.set_yticks(range(len(arms)), list(reversed(arms)))
        panel.axvline(0, color="black", linewidth=0.8)
        panel.set_title(primary.upper())
        panel.set_xlabel("gain over primary only")
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figure", action="store_true", help="draw the figure too")
    given = parser.parse_args()
    results = read(RESULTS)
    PAGE.write_text(filled(PAGE.read_text(), tables(results, read(PLANTED), read(LEAKS))))
    if given.figure:
        draw(results, FIGURE)


if __name__ == "__main__":
    main()

"""Writes the tables of docs/scale.md from benchmarks/results/scale_*.json; the words between them are by hand.

    python benchmarks/scale/page.py [--rows-per-second 31930]

A table stands between <!-- NAME --> and <!-- end -->.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from model import Device, Forecast, forecast

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "scale.md"
RESULTS = ROOT / "benchmarks" / "results"
ROWS = {"10 M": 10**7, "1 G": 10**9, "100 G": 10**11}
DEVICES = (1, 8, 1_000)
UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))

Json = dict[str, Any]


def read(folder: Path = RESULTS) -> dict[str, Json]:
    """Return the results of scale, by the name of their file."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("scale_*.json"))}


def tables(results: Mapping[str, Json], device: Device) -> dict[str, str]:
    """Return as Markdown every table of which there are results."""
    simulated = results["scale_simulation"]
    found = [forecast(rows, devices, device, simulated) for rows in ROWS.values() for devices in DEVICES]
    made = {
        "scale_forecast": _forecast(found),
        "scale_stored": _stored(found[:: len(DEVICES)]),
        "scale_simulation": _simulation(simulated),
        "scale_tables": _tables(simulated),
    }
    if "scale_workers" in results:
        made["scale_workers"] = _workers(results["scale_workers"])
    return made


def _forecast(found: Sequence[Forecast]) -> str:
    rows = [
        [
            _big(each.rows),
            f"{each.devices:,}",
            f"{each.shards:,} of {each.shard_rows:,}",
            _time(each.seconds),
            f"{100 * each.efficiency:.0f} %",
            f"{each.claims_per_second:.2f}",
            f"{100 * each.lock_share:.1f} %",
            f"{each.statements_per_second:,.0f}",
        ]
        for each in found
    ]
    head = ["rows", "devices", "shards", "scoring", "devices busy", "claims/s", "lock held", "other statements/s"]
    return _markdown(head, rows)


def _stored(found: Sequence[Forecast]) -> str:
    rows = [
        [
            _big(each.rows),
            f"{sum(each.table_rows.values()):,}",
            _bytes(each.database_bytes),
            f"{each.table_rows['events']:,}",
            _bytes(each.probability_bytes),
            _bytes(each.rank_bytes),
        ]
        for each in found
    ]
    head = ["rows", "rows in all tables", "database", "events", "probabilities, 8 tasks", "memory of `rank`"]
    return _markdown(head, rows)


def _simulation(result: Json) -> str:
    steady, asked = result["steady"], result["asked"]
    rows = [
        ["shards in the database, workers", f"{asked['shards']:,}, {asked['workers']:,}"],
        ["a shard takes, s", f"{result['shard_seconds']:g}"],
        ["creating the job, s", f"{result['once_ms']['create the job'] / 1000:.1f}"],
        [
            "queueing all shards at once, s",
            f"{result['once_ms']['finish the training: all shards are queued'] / 1000:.1f}",
        ],
        [
            "all workers come at once: the last has its shard after, s",
            f"{result['rush']['claim']['worst_ms'] / 1000:.1f}",
        ],
        ["shards finished while it was measured, in s", f"{steady['shards']:,} in {steady['seconds']:g}"],
        [
            "**of workers' time, in claim and finish**",
            f"**{100 * steady['share_of_workers_time_in_claim_and_finish']:.2f} %**",
        ],
        ["**of the time, in sweeps**", f"**{100 * steady['share_of_time_in_sweeps']:.2f} %**"],
        ["cores that PostgreSQL took", f"{steady['cores_of_the_database']:.2f}"],
        *[
            [f"{name}, ms: median, p99", f"{each['median_ms']:g}, {each['p99_ms']:g}"]
            for name, each in steady["calls"].items()
        ],
        ["bells that hang in Redis at the end", f"{sum(result['messages_left'].values()):,}"],
        ["the job's end", result["job"]],
        ["load of the machine at the end", ", ".join(f"{each:g}" for each in result["machine"]["load"])],
    ]
    return _markdown(["", ""], rows)


def _tables(result: Json) -> str:
    rows = [[name, f"{each['rows']:,}", f"{each['bytes_per_row']:,}"] for name, each in result["tables"].items()]
    return _markdown(["table", "rows after the simulation", "bytes a row, indexes included"], rows)


def _workers(result: Json) -> str:
    seconds = result["seconds"]
    rows = [
        ["one worker of one thread, s", ", ".join(f"{each:g}" for each in seconds["one"])],
        ["two, s", ", ".join(f"{each:g}" for each in seconds["two"])],
        ["**ratio**", f"**{result['ratio']['median']:g}** ({result['ratio']['low']:g} to {result['ratio']['high']:g})"],
        ["two, one killed, a third added, s", f"{result['killed']['seconds']:g}"],
        ["attempts at shards then", f"{result['killed']['attempts']} for {result['shards']}"],
        ["probabilities equal to the bit in all turns", "yes" if result["bits_equal"] else "**no**"],
        ["load of the machine at the start", ", ".join(f"{each:g}" for each in result["machine"]["load_at_start"])],
    ]
    return _markdown(["", f"{result['rows']:,} rows"], rows)


def _big(number: float) -> str:
    return next(name for name, value in ROWS.items() if value == number)


def _time(seconds: float) -> str:
    name, size = next(((name, size) for name, size in UNITS if seconds >= 2 * size), ("s", 1))
    return f"{seconds / size:,.1f} {name}"


def _bytes(size: float) -> str:
    name, unit = next(((n, u) for n, u in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)) if size >= u), ("KB", 1_000))
    return f"{size / unit:,.1f} {name}"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def filled(text: str, found: Mapping[str, str]) -> str:
    """Return the page with its tables in place."""
    for name, table in found.items():
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text = place.sub(lambda match, table=table: f"{match[1]}\n{table}\n\n{match[2]}", text)
    return text


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows-per-second", type=float, default=Device().rows_per_second, help="of a device")
    parser.add_argument("--start-seconds", type=float, default=Device().start_seconds, help="of a step's process")
    asked = parser.parse_args()
    found = tables(read(), Device(asked.rows_per_second, asked.start_seconds))
    PAGE.write_text(filled(PAGE.read_text(), found))


if __name__ == "__main__":
    main()

"""Estimates against what jobs took: twelve jobs of several shapes on the embedded stack, estimated before they run.

    python benchmarks/estimate.py --data GLUE        # 10 to 20 minutes on two cores that do other things besides
    python benchmarks/estimate.py                    # the made-up examples: the jobs that they have tasks for
    python benchmarks/estimate.py --replay           # what today's code makes of the measurements stored, in a minute

GLUE is a folder with TASK/train.parquet (columns text_a, text_b, label). A fresh service calibrates its device; then
every job is estimated, submitted and waited for, so that an estimate knows the jobs before its own and nothing else.
Prints a line a job and writes all of it, and the summary, to benchmarks/results/estimate.json. No job is begun that
might, by its band, end after --limit-seconds.

`ratio` is actual over expected seconds; `inside` says whether the actual seconds lay in the band, which should hold of
nine in ten. Of peak memory likewise. Load is the machine's, over the minute before the job: what else it did shows in
the figures.

What steps left behind is stored too, so that another way of reckoning can be held to the same figures: --replay
foretells each of them from the jobs before its own (`next_job`, as the service does) and from all steps before it
(`next_step`), and adds how that went.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterable
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq

from app.db import Database
from app.embedded import EmbeddedStack
from app.forecast import Forecast
from app.measurements import CALIBRATION, Log, Seen, of_device
from app.models import Step
from fastmtl.client import Client
from fastmtl.size import Size
from fastmtl.workload import Work

Json = dict[str, Any]
RESULT = Path(__file__).parent / "results" / "estimate.json"
EXAMPLES = Path(__file__).parent.parent / "examples"
ROWS = {"rte": 160, "cola": 200, "mrpc": 160, "stsb": 200, "sst2": 400, "mnli": 500, "qqp": 500, "qnli": 300}
MADE_UP = {
    "rte": "support_entailment/train.csv",
    "cola": "recipe_steps/train.jsonl",
    "stsb": "phrase_similarity/train.parquet",
    "sst2": "review_sentiment/train.csv",
    "mnli": "policy_inference/train.jsonl",
    "qqp": "question_pairs/train.tsv",
}
"""What stands for a task where there is no GLUE."""
PLAIN = ("leakage", "rank", "select", "slice", "report")
"""Kinds of steps without torch."""
CALIBRATION_SECONDS = 400


def shape(primary: str, auxiliary: str, **config: object) -> Json:
    """Return a job over tasks; what is not said of its config is small: two steps with torch, three without."""
    small: Json = {
        **{"preset": "small", "method": "random", "budget": 64, "compare": [], "leak_guard": "off", "explain": 0},
        "discriminator": {"rows_per_task": 32, "epochs": 1},
        "target": {"epochs": 1},
        "finetuning": {"epochs": 1},
    }
    for name, value in config.items():
        small[name] = {**small[name], **value} if isinstance(value, dict) and name in small else value
    return {"primary": primary, "auxiliary": auxiliary.split(), "config": small}


WHOLE = {"method": "discriminator", "leak_guard": "near", "explain": 3}
JOBS = [
    shape("rte", "cola sst2"),
    shape("cola", "mrpc stsb", budget=128, target={"epochs": 2}),
    shape("mrpc", "qqp qnli", budget=96, encoder={"max_length": 64}),
    shape("rte", "mnli cola", **WHOLE),
    shape("stsb", "cola mnli", budget=256),
    shape("rte", "qnli mrpc", budget=192, encoder={"max_length": 48}, finetuning={"epochs": 2}),
    shape("cola", "sst2 stsb", method="bm25", budget=48, target={"epochs": 3}),
    shape("rte", "mnli cola", **WHOLE, budget=160),  # the discriminator and its scores are there already
    shape("sst2", "cola qqp", budget=32),
    shape("stsb", "mnli sst2", method="embedding", budget=100),
    shape("cola", "mnli qqp", budget=384, compare=["primary_only"]),
    shape("mrpc", "rte stsb", **{**WHOLE, "discriminator": {"epochs": 3}}, budget=128),
]


def upload(client: Client, data: Path | None, times: float, folder: Path) -> dict[str, str]:
    """Upload some rows of every task, so many times ROWS, or the examples; return ids by task."""
    if data is None:
        return {task: client.upload(EXAMPLES / path)["id"] for task, path in MADE_UP.items()}
    ids = {}
    for task, rows in ROWS.items():
        table = pq.read_table(data / task / "train.parquet", columns=["text_a", "text_b", "label"])
        drawn = np.random.default_rng(0).permutation(table.num_rows)[: round(times * rows)]
        pq.write_table(table.take(np.sort(drawn)), folder / f"{task}.parquet")
        ids[task] = client.upload(folder / f"{task}.parquet")["id"]
    return ids


def request_of(job: Json, ids: dict[str, str]) -> Json:
    """Return what a job's estimate and its submission both take."""
    return {"primary": ids[job["primary"]], "auxiliary": [ids[task] for task in job["auxiliary"]]}


def calibrated(client: Client, request: Json, config: Json) -> float:
    """Wait until an estimate is more than a count of rows; return how long that was."""
    began = time.monotonic()
    while client.estimate(**request, config=config)["seconds"] is None:
        if time.monotonic() - began > CALIBRATION_SECONDS:
            raise SystemExit("the worker did not calibrate")
        time.sleep(1)
    return round(time.monotonic() - began, 1)


def run(client: Client, database: Database, job: Json, request: Json) -> Json:
    """Estimate, then run; return both side by side."""
    load = psutil.getloadavg()[0]
    foretold = client.estimate(**request, config=job["config"])
    submitted = client.submit(**request, config=job["config"])
    *_, state = client.watch(submitted["id"], 0.5)
    if state["status"] != "succeeded":
        raise SystemExit(f"the job has {state['status']}: {state['error']}")
    peaks = _peaks(database, state["steps"])
    steps = [
        {
            **{key: plan[key] for key in ("name", "kind", "basis", "measurements")},
            "seconds": compared(plan["seconds"], step["seconds"]),
            "peak_bytes": compared(plan["peak_bytes"], peaks.get(step["id"])),
        }
        for plan, step in zip(foretold["steps"], state["steps"], strict=True)
        if not plan["reused"]
    ]
    return {
        **job,
        "load": round(load, 1),
        "basis": foretold["basis"],
        "tokens_basis": foretold["tokens_basis"],
        "reused": foretold["reused"],
        "seconds": compared(foretold["seconds"], state["estimate"]["actual_seconds"]),
        "peak_bytes": compared(foretold["peak_bytes"], max(peaks.values(), default=None)),
        "steps": steps,
    }


def compared(band: Json | None, actual: float | None) -> Json | None:
    """Return an estimate beside the actual value."""
    if band is None or actual is None or not band["expected"]:
        return None
    return {
        **band,
        "actual": actual,
        "ratio": round(actual / band["expected"], 3),
        "inside": band["low"] <= actual <= band["high"],
    }


def summed_up(found: Iterable[Json | None]) -> Json | None:
    """Return how far off estimates were, and the share inside the band."""
    known = [each for each in found if each is not None]
    if not known:
        return None
    ratios = [each["ratio"] for each in known]
    return {
        "count": len(known),
        "inside": round(sum(each["inside"] for each in known) / len(known), 3),
        "median_ratio": round(statistics.median(ratios), 3),
        "ratios": [min(ratios), max(ratios)],
        "median_width": round(statistics.median(each["high"] / each["expected"] for each in known), 2),
    }


def summary(jobs: list[Json]) -> Json:
    """Sum up by what an estimate was reckoned from and by kind of step."""
    steps = [step for job in jobs for step in job["steps"]]
    return {
        "jobs": summed_up(job["seconds"] for job in jobs),
        "jobs_peak": summed_up(job["peak_bytes"] for job in jobs),
        "steps": summed_up(step["seconds"] for step in steps),
        "steps_peak": summed_up(step["peak_bytes"] for step in steps),
        "by_basis": {
            basis: summed_up(step["seconds"] for step in steps if step["basis"] == basis)
            for basis in sorted({step["basis"] for step in steps})
        },
        "by_kind": {
            kind: summed_up(step["seconds"] for step in steps if step["kind"] == kind)
            for kind in sorted({step["kind"] for step in steps})
        },
    }


def _peaks(database: Database, steps: list[Json]) -> dict[str, int]:
    """Return the memory at its peak of the job's own steps, by id."""
    with database.reading() as session:
        found = {each["id"]: session.get_one(Step, uuid.UUID(each["id"])) for each in steps if not each["reused"]}
    return {each: step.result["measured"]["peak_bytes"] for each, step in found.items() if step.result}


def measured(database: Database) -> list[Seen]:
    """Return all that was measured, the oldest first."""
    with database.reading() as session:
        log = of_device(session, "auto")
    return [*reversed(log.with_torch), *reversed(log.without)]


def replayed(jobs: list[Json], measurements: list[Seen]) -> Json:
    """Foretell every measured step again, in order; those with torch and those without know of their own like alone."""
    found: Json = {"next_job": [], "next_step": []}
    for with_torch in (True, False):
        seen = [each for each in measurements if bool(each.encoder) == with_torch]
        done = sum(each.kind == CALIBRATION for each in seen)
        of_job = [sum((step["kind"] not in PLAIN) == with_torch for step in job["steps"]) for job in jobs]
        for count in of_job:
            for ahead in range(count):
                found["next_job"].append(_foretold(seen[done + ahead], seen[:done], 1 + ahead))
                found["next_step"].append(_foretold(seen[done + ahead], seen[: done + ahead], 1))
            done += count
    return {
        name: {"seconds": summed_up(seconds for seconds, _ in pairs), "peak": summed_up(peak for _, peak in pairs)}
        for name, pairs in found.items()
    }


def _foretold(step: Seen, before: list[Seen], ahead: int) -> tuple[Json | None, Json | None]:
    """Return the seconds and the peak of a measured step beside what is foretold of it."""
    newest, with_torch = tuple(reversed(before)), bool(step.encoder)
    log = Log(step.device, True, newest if with_torch else (), () if with_torch else newest)
    found = Forecast(log, step.encoder, step.size).of(step.kind, step.work, with_torch=with_torch, ahead=ahead)
    seconds, peak = (band and band._asdict() for band in (found.seconds, found.peak_bytes))
    return compared(seconds, step.seconds), compared(peak, step.peak_bytes)


def stored(measurements: list[Seen]) -> list[Json]:
    """Return measurements as JSON; `loaded` is the way back."""
    return [{**asdict(each), "size": each.size and each.size._asdict()} for each in measurements]


def loaded(measurements: list[Json]) -> list[Seen]:
    """Return stored measurements."""
    return [
        Seen(**{**each, "work": Work(**each["work"]), "size": Size(**each["size"]) if each["size"] else None})
        for each in measurements
    ]


def machine(device: str | None) -> Json:
    """Describe this machine."""
    return {
        "device": device,
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
    }


def run_all(given: argparse.Namespace) -> Json:
    """Run all jobs that fit; return all of it."""
    began = time.monotonic()
    jobs: list[Json] = []
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "home"
        with EmbeddedStack(home, port=0) as stack, Client(stack.url, stack.key) as client:
            ids = upload(client, given.data, given.times, Path(scratch))
            wanted = [job for job in JOBS[: given.jobs] if {job["primary"], *job["auxiliary"]} <= set(ids)]
            first = request_of(wanted[0], ids), wanted[0]["config"]
            waited = calibrated(client, *first)
            database = Database(f"sqlite:///{home / 'fastmtl.sqlite3'}")
            device = client.estimate(**first[0], config=first[1])["device"]
            for job in wanted:
                request = request_of(job, ids)
                longest = client.estimate(**request, config=job["config"])["seconds"]["high"]
                if time.monotonic() - began + longest > given.limit_seconds:
                    continue
                jobs.append(run(client, database, job, request))
                shown = ("primary", "auxiliary", "basis", "load", "seconds", "peak_bytes")
                print(json.dumps({key: jobs[-1][key] for key in shown}), flush=True)
            measurements = measured(database)
            database.close()
    return {
        "summary": summary(jobs),
        "skipped": len(wanted) - len(jobs),
        "seconds": round(time.monotonic() - began, 1),
        "calibration_seconds": waited,
        "data": "GLUE" if given.data else "examples",
        "times": given.times,
        "machine": machine(device),
        "jobs": jobs,
        "measurements": stored(measurements),
    }


def main() -> None:
    """Run all jobs that fit, print and store; or look once more at what is stored."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of GLUE; without it the examples are taken")
    parser.add_argument("--output", type=Path, default=RESULT)
    parser.add_argument("--limit-seconds", type=float, default=1000, help="begin no job that may end later")
    parser.add_argument("--jobs", type=int, default=len(JOBS), help="take the first so many")
    parser.add_argument("--times", type=float, default=1.0, help="take so many times the rows of a GLUE task")
    parser.add_argument(
        "--replay", action="store_true", help="foretell the measurements in --output again, and add how that went"
    )
    given = parser.parse_args()
    if given.replay:
        found = json.loads(given.output.read_text())
        found["summary"]["replayed"] = replayed(found["jobs"], loaded(found["measurements"]))
    else:
        found = run_all(given)
    given.output.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found["summary"], indent=1))


if __name__ == "__main__":
    main()

"""Requests made up from the OpenAPI document, by Schemathesis in all its phases: what is sent, and in which order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx2
from accounts import Account, Place, Scale, at_least, exactly, told
from scene import RANDOM, Scene, World, another, running

from app.keys import Keys
from app.keys import Scope as KeyScope

EXAMPLES = 150
"""Made-up requests an operation and phase."""
PHASES = ("examples", "coverage", "fuzzing", "stateful")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
    "use_after_free",
)
HOOKS = Path(__file__).parents[1] / "support" / "schemathesis_hooks.py"
LEAST = 5000
RUN = "from schemathesis.cli import schemathesis; schemathesis()"


def made_up_requests(place: Place, scale: Scale) -> Account:
    """Send them to a running API with a finished job, a waiting one, and an upload that has begun."""
    with running(place, scale, FASTMTL_RATE_LIMIT="off") as scene:
        world = scene.prepared(RANDOM)
        report = _run(scene, world, place.folder, scale)
        alive = not scene.processes.deaths
        traces = scene.processes.log("serve").count("Traceback")
    cases = report["test_cases"]
    done = (
        f"Schemathesis {report['schemathesis_version']} sent {cases['generated']:,} requests to "
        f"{report['operations']['tested']} operations in its phases {', '.join(PHASES)}; half of the ids are of "
        f"what is there. Checked: {', '.join(CHECKS)}."
    )
    failures = [f"{each['code']} {each['title']}: {each['operations']}" for each in report["failures"]]
    server_errors = [each for each in failures if "erver error" in each]
    figures = [
        exactly("server errors", len(server_errors), 0),
        exactly("answers that the document does not describe, or that contradict it", len(failures), 0),
        exactly("operations that were not tested", report["operations"]["total"] - report["operations"]["tested"], 0),
        exactly(
            "phases that did not run", sum(each["skip_reason"] is not None for each in report["phases"].values()), 0
        ),
        exactly("errors of the test itself", len(report["errors"]), 0),
        exactly("times that the API ended", int(not alive), 0),
        exactly("traces of errors in its log", traces, 0),
        at_least("requests", cases["generated"], scale.of(LEAST)),
        told("seconds", report["running_time"]),
    ]
    return Account(done, figures, [*failures, *map(str, report["errors"])])


def _run(scene: Scene, world: World, folder: Path, scale: Scale) -> dict:
    """Run Schemathesis in a process of its own and return its report."""
    keys = Keys(scene.database, scene.settings)
    own = keys.create(world.tenant_id, "made up", KeyScope.ADMIN)
    other = keys.create(world.tenant_id, "to be rotated", KeyScope.READ)
    headers = {"Authorization": f"Bearer {own.text}"}
    known = {**_things(scene, world, headers), "key_id": [str(other.record.id)], "own_key": [str(own.record.id)]}
    path = folder / "schemathesis.json"
    command = [sys.executable, "-c", RUN, "run", f"{scene.processes.url}/openapi.json", "--phases", ",".join(PHASES)]
    command += ["-H", f"Authorization: {headers['Authorization']}", "-n", str(scale.of(EXAMPLES))]
    command += ["--seed", str(scale.seed), "--checks", ",".join(CHECKS), "--continue-on-failure", "--no-color"]
    command += ["--generation-database", "none", "--report", "json", "--report-json-path", str(path)]
    told = {"SCHEMATHESIS_HOOKS": str(HOOKS), "FASTMTL_TEST_KNOWN": json.dumps(known)}
    run = subprocess.run(command, env={**os.environ, **told}, capture_output=True, text=True, cwd=folder)
    assert path.exists(), run.stdout[-3000:] + run.stderr[-3000:]
    (folder / "schemathesis.log").write_text(run.stdout)
    report: dict = json.loads(path.read_text())
    return report


def _things(scene: Scene, world: World, headers: dict[str, str]) -> dict[str, list[str]]:
    """Return ids of a finished job, of one that waits, of datasets, and of an upload that has begun."""
    (finished,) = world.jobs
    waiting = world.submit(another(RANDOM, 1))
    begun = httpx2.post(
        f"{scene.processes.url}/v1/uploads",
        headers={**headers, "Tus-Resumable": "1.0.0", "Upload-Length": "1000"},
    ).raise_for_status()
    return {
        "job_id": [finished, waiting],
        "dataset_id": [world.request["primary"], *world.request["auxiliary"]],
        "upload_id": [begun.headers["Location"].rpartition("/")[2]],
        "name": ["selection.parquet", "report.json"],
    }

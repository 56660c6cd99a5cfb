"""The whole path over HTTP with real processes: an API and workers, on files alone and on PostgreSQL and Redis.

`make test-compose` runs the same tests against the containers of docker-compose.yml.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from buckets import Bucket
from composed import COMPOSED, composed_service
from safetensors.torch import load_file
from tiny import write_encoder
from transformers import AutoModel
from under_test import LocalService, Service

from app import failpoints
from app.embedded import EmbeddedStack
from fastmtl.client import Client, ServiceError
from fastmtl.config import JobConfig
from fastmtl.local import select_rows

Json = dict
SMALL = {
    "encoder": {"name": "tiny", "max_length": 24},
    "budget": 20,
    "discriminator": {"rows_per_task": 20, "epochs": 2, "learning_rate": 2e-3, "batch_size": 8},
    "target": {"epochs": 2, "learning_rate": 1e-3, "batch_size": 8},
    "finetuning": {"epochs": 2, "learning_rate": 1e-3, "batch_size": 8},
    "precision": "fp32",
}
SLOW = {**SMALL, "discriminator": {**SMALL["discriminator"], "epochs": 100, "batch_size": 1}}
"""A first step long enough to be ended in the middle."""
WORDS = {**SMALL, "method": "dsir", "explain": 0}
"""The rows are chosen by words: only trainings compute with torch."""
SLOW_LAST = {**WORDS, "compare": [], "finetuning": {"epochs": 100, "learning_rate": 1e-4, "batch_size": 1}}
"""A last training long enough to be killed in the middle."""
pytestmark = pytest.mark.timeout(900)  # several processes that load torch, on a machine that may be busy
QUICK = {
    "FASTMTL_LEASE_SECONDS": "3",
    "FASTMTL_HEARTBEAT_SECONDS": "1",
    "FASTMTL_SWEEP_SECONDS": "0.5",
    "FASTMTL_RING_AGAIN_SECONDS": "5",
    "FASTMTL_POLL_SECONDS": "0.05",
    "FASTMTL_THREADS": "1",
    "FASTMTL_CALIBRATE": "false",
    "FASTMTL_CHECKPOINT_SECONDS": "1",
    "OMP_NUM_THREADS": "1",
}
STACKS = ["compose"] if COMPOSED in os.environ else ["embedded", "full", pytest.param("s3", marks=pytest.mark.slow)]


@pytest.fixture
def service(stack: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The stack of processes, with a tiny encoder and leases short enough to wait for; or the one of containers."""
    if COMPOSED in stack:
        with composed_service(Path(stack[COMPOSED])) as running_one:
            yield running_one
        return
    encoders = {"tiny": f"folder:{write_encoder('bert', tmp_path / 'tiny')}", "gone": f"folder:{tmp_path / 'gone'}"}
    home = Path(stack["FASTMTL_HOME"])
    (home / "failpoints" / failpoints.TAKEN).mkdir(parents=True)
    places = {"FASTMTL_ENCODERS": json.dumps(encoders), failpoints.VARIABLE: str(home / "failpoints")}
    for name, value in {**stack, **QUICK, **places}.items():
        monkeypatch.setenv(name, value)
    with EmbeddedStack(home, port=0) as running, Client(running.url, running.key) as client:
        started = LocalService(client, encoders, {**os.environ})
        yield started
        started.stop()


def upload(service: Service, folder: Path, name: str, rows: int, seed: int) -> str:
    """Upload single texts; the label is whether a cat is in them. Numbers keep the leak guard from finding copies."""
    draw = random.Random(seed)
    places = ("river", "city", "train", "shop") if name != "unlike" else ("order", "refund", "price", "ten")
    texts = [
        f"the {draw.choice(('cat', 'dog', 'bird'))} runs in the {draw.choice(places)} {draw.getrandbits(64)}"
        for _ in range(rows)
    ]
    lines = ["text,label", *(f"{text},{'cat' if 'cat' in text else 'none'}" for text in texts)]
    path = folder / f"{name}.csv"
    path.write_text("\n".join(lines))
    return str(service.client.upload(path)["id"])


@pytest.fixture
def request_of(service: Service, tmp_path: Path) -> Json:
    """The datasets of a job, uploaded."""
    return {
        "primary": upload(service, tmp_path, "primary", 40, 1),
        "validation": upload(service, tmp_path, "held", 30, 2),
        "auxiliary": [upload(service, tmp_path, "alike", 60, 3), upload(service, tmp_path, "unlike", 60, 4)],
    }


def running(state: Json, step: str) -> Json | None:
    return next((each for each in state["steps"] if each["name"] == step and each["status"] == "running"), None)


@pytest.mark.parametrize("stack", STACKS, indirect=True)
def test_from_upload_to_download_and_a_second_budget(service, request_of, tmp_path):
    job = service.client.submit(**request_of, config=SMALL, name="whole")
    done = service.until(job, lambda state: state["status"] == "succeeded")
    assert (done["progress"], {step["status"] for step in done["steps"]}) == (1.0, {"succeeded"})
    selection = service.client.selection(job.id)
    assert len({(row.dataset_id, row.row) for row in selection.rows}) == 20
    assert selection.digest == done["selection"]["digest"]
    why = service.client.selection(job.id, explain=True).rows
    assert [row._replace(percentile=None, nearest=None) for row in why] == selection.rows
    assert {(len(row.nearest), 0 < row.percentile <= 100) for row in why} == {(3, True)}

    stored = {each["name"] for each in service.client.artifacts(job["id"])}
    promised = {"selection.parquet", "scores.parquet", "subset.parquet", "report.json", "model/config.json"}
    promised |= {"model/heads.safetensors", "discriminator/model/heads.safetensors", "predictions.parquet"}
    promised |= {"report.html", "figures.json", "figures/shares.svg", "figures/scores.png"}
    promised |= {"explanations.parquet", "costs.json", "arms/primary_only/model/config.json"}
    assert promised <= stored
    scores = service.client.download(job["id"], "scores.parquet", tmp_path / "scores.parquet")
    assert pq.read_metadata(scores).num_rows == 120
    archive = service.client.download(job["id"], "model", tmp_path / "model.tar")
    subprocess.run(["tar", "xf", str(archive)], cwd=tmp_path, check=True)
    assert AutoModel.from_pretrained(tmp_path / "model").config.hidden_size == 32
    assert "heads.0.weight" in load_file(tmp_path / "model" / "heads.safetensors")

    second = service.client.submit(**request_of, config={**SMALL, "budget": 7})
    chosen = service.until(second, lambda state: state["selection"])
    assert [step["name"] for step in chosen["steps"] if step["reused"]] == [
        *("discriminator", "score 1/1", "rank", "leakage")
    ]
    assert service.client.selection(second).rows == selection.rows[:7]

    swapped = {"primary": request_of["auxiliary"][0], "auxiliary": [request_of["primary"], request_of["auxiliary"][1]]}
    third = service.client.submit(**swapped, config={**SMALL, "budget": 7})
    assert [step["name"] for step in third["steps"] if step["reused"]] == ["discriminator", "score 1/1"]
    service.client.cancel(second["id"])
    service.client.cancel(third["id"])


def test_a_job_goes_on_from_its_last_finished_step_when_a_process_is_killed(service, request_of):
    job = service.client.submit(**request_of, config=SLOW_LAST)
    step = "finetune (selection)"
    service.until(job, lambda state: running(state, step) and running(state, step)["progress"])
    finished = [each for each in service.client.job(job["id"])["steps"] if each["status"] == "succeeded"]
    assert [each["kind"] for each in finished] == ["rank", "leakage", "select", "target"]
    for attempt, killed in ((2, "child"), (3, "worker")):
        assert service.kill(killed)
        if killed == "worker":
            service.start_worker()
        again = service.until(job, lambda state, number=attempt: at_work(state, step, number))
        assert [each for each in again["steps"] if each["status"] == "succeeded"] == finished
    service.client.cancel(job["id"])


def at_work(state: Json, step: str, attempt: int) -> bool:
    """Whether that attempt at a step has begun to train."""
    found = running(state, step)
    return found is not None and found["attempts"] == attempt and bool(found["progress"])


def test_a_job_whose_step_was_killed_chooses_the_same_rows_as_the_library_in_one_go(service, request_of, tmp_path):
    config = {**SMALL, "discriminator": {**SLOW["discriminator"], "epochs": 20}, "explain": 0}
    job = service.client.submit(**request_of, config=config)
    service.until(job, lambda state: at_work(state, "discriminator", 1))
    assert service.kill("child") == 1
    chosen = service.until(job, lambda state: state["selection"])
    service.client.cancel(job["id"])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = select_rows(
        tmp_path / "primary.csv",
        [tmp_path / "alike.csv", tmp_path / "unlike.csv"],
        tmp_path / "alone",
        config=JobConfig.model_validate(config),
        known_encoders=service.encoders,
        device="cpu",
        train=False,
    )
    torch.set_num_threads(threads)
    attempts = next(step["attempts"] for step in chosen["steps"] if step["kind"] == "discriminator")
    assert (attempts, chosen["selection"]["digest"]) == (2, alone.digest)


def test_a_cancelled_job_stops_its_process_and_frees_the_worker(service, request_of):
    job = service.client.submit(**request_of, config=SLOW)
    service.until(job, lambda state: running(state, "discriminator"))
    assert service.client.cancel(job["id"])["status"] == "cancelled"
    end = time.monotonic() + 10
    while service.steps_running():
        assert time.monotonic() < end, "the step's process outlived its job"
        time.sleep(0.1)
    next_job = service.client.submit(**request_of, config={**WORDS, "budget": 3})
    service.until(next_job, lambda state: state["selection"])
    service.client.cancel(next_job["id"])


def test_a_worker_that_is_asked_to_stop_gives_its_step_back_at_once(service, request_of):
    job = service.client.submit(**request_of, config=SLOW)
    service.until(job, lambda state: running(state, "discriminator"))
    service.ask_workers_to_stop()
    state = service.until(job, lambda state: not running(state, "discriminator"))
    step = next(each for each in state["steps"] if each["name"] == "discriminator")
    assert (state["status"], step["status"], step["attempts"]) == ("running", "queued", 0)
    service.client.cancel(job["id"])


def test_two_workers_share_a_job_and_compute_every_step_once(service, request_of):
    service.start_worker()
    job = service.client.submit(**request_of, config={**WORDS, "compare": ["primary_only"]})
    done = service.until(job, lambda state: state["status"] == "succeeded")
    assert {step["attempts"] for step in done["steps"]} == {1}


@pytest.mark.parametrize("stack", ["s3"], indirect=True)
def test_machines_that_share_nothing_but_database_broker_and_store_go_on_with_one_anothers_steps(
    service, request_of, stack, bucket, tmp_path
):
    """The first machine dies between storing a step's files and making them known, the second in a training."""
    order = Path(stack["FASTMTL_HOME"]) / "failpoints" / "worker.stored-not-finished"
    order.write_text(failpoints.Action.KILL)
    job = service.client.submit(**request_of, config=SLOW_LAST)
    service.until(job, lambda _: not order.exists())
    second, step = service.start_machine(tmp_path / "another machine"), "finetune (selection)"
    state = service.until(job, lambda state: running(state, step) and epochs_of(service, job, step, attempt=1))
    before = shared(bucket, running(state, step)["id"])
    service.until(job, lambda _: set(shared(bucket, running(state, step)["id"])) - set(before))
    second.kill()
    service.start_worker()
    state = service.until(job, lambda _: epochs_of(service, job, step, attempt=2))
    assert epochs_of(service, job, step, attempt=2)[0] > 1  # it went on from what the other machine had kept
    (cut,) = [each for each in state["steps"] if each["attempts"] == 2 and each["name"] != step]
    fences = {key.split("/")[2] for key in bucket.keys() if key.startswith(f"steps/{cut['id']}/")}
    assert len(fences) == 1 and fences != {"1"}  # of what the attempt that died had stored nothing is left
    service.client.cancel(job["id"])


def epochs_of(service: Service, job: Json, step: str, attempt: int) -> list[int]:
    """The epochs that an attempt at a training has told of."""
    told = service.client.request("GET", f"/jobs/{job['id']}/events?limit=200")["items"]
    of_step = [each["data"] for each in told if each["type"] == "step.metrics" and each["data"]["step"] == step]
    return [each["epoch"] for each in of_step if each["attempt"] == attempt]


def shared(bucket: Bucket, step_id: str) -> list[str]:
    return [key for key in bucket.keys() if key.startswith(f"checkpoints/{step_id}/")]


def test_an_encoder_that_cannot_be_had_fails_the_job_with_a_sentence(service, request_of):
    job = service.client.submit(**request_of, config={**SMALL, "encoder": {"name": "gone", "max_length": 24}})
    failed = service.until(job, lambda state: state["status"] == "failed")
    assert failed["error"]["type"] == "encoder-unavailable"
    assert "there is no config.json in it" in failed["error"]["message"]


def test_what_is_wrong_is_told_by_row_and_leaves_nothing(service, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text("text,label\na cat,yes\n,no\n")
    with pytest.raises(ServiceError, match=r"row 1 \(line 3\), column 'text': the text is empty"):
        service.client.upload(path)
    assert list(service.client.datasets()) == []

"""Measures a worker's device at its start, where nothing was measured on it yet: estimates need something to stand on.

It gives way to the first step: that is worth more, and the two would slow one another down. What steps then take is
measured too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import structlog
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from app.clock import now
from app.db import Database
from app.measurements import CALIBRATION, Seen, Told, add, encoder_digest, known_devices
from app.settings import Settings
from fastmtl import encoders
from fastmtl.config import EncoderConfig
from fastmtl.plan import Json, StepSpec
from fastmtl.workload import Work
from worker.launcher import ENVIRONMENT, PROGRAM
from worker.measuring import MEASURED
from worker.protocol import REQUEST, RESULT, Request
from worker.supervisor import scratch_root

VERSION = 1
PRECISION = "auto"

log = structlog.get_logger()


class _Run(NamedTuple):
    """What a process that measured says."""

    told: Told
    result: Json


class Calibrator:
    """Measures in a thread, with processes of its own."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._given_way = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()

    def start(self) -> None:
        """Begin, if the settings want it."""
        if self._settings.calibrate:
            threading.Thread(target=self.run, name="calibrate", daemon=True).start()

    def give_way(self) -> None:
        """End what is measured; nothing of it is kept."""
        self._given_way.set()
        with self._starting:
            process = self._process
        if process and process.poll() is None:
            process.kill()
            process.wait()

    def run(self) -> None:
        """Measure and write it down; where that fails there is nothing to estimate from until steps have run."""
        encoder = default_encoder(self._settings.encoders)
        if encoder is None:
            return
        began = time.monotonic()
        try:
            found = self._measure(encoder)
            if found:
                with self._database.transaction() as session:
                    add(session, found, now())
                log.info("calibrated", device=found[0].device, seconds=round(time.monotonic() - began, 1))
        except (OSError, ValueError, KeyError, ValidationError, SQLAlchemyError) as error:
            log.warning("calibration.failed", error=str(error))

    def _measure(self, encoder: Json) -> list[Seen]:
        digest = encoder_digest(encoder["location"])
        with self._database.reading() as session:
            known = known_devices(session, digest)
        params = {"encoder": encoder, "precision": PRECISION, "known": sorted(known)}
        with_torch = self._child(StepSpec(kind="calibrate", name="calibrate", version=VERSION, params=params))
        if with_torch is None or not with_torch.result["parts"]:
            return []
        plain = self._child(StepSpec(kind="calibrate_plain", name="calibrate", version=VERSION, params={}))
        return [*_with_torch(with_torch, digest), *(_without(plain) if plain else [])]

    def _child(self, spec: StepSpec) -> _Run | None:
        """Run a step that no job has; None where it gave way or failed."""
        folder = scratch_root(self._settings) / spec.kind
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        request = Request(
            spec=spec.to_json(),
            datasets={},
            inputs={},
            device=self._settings.device,
            threads=self._settings.threads,
        )
        (folder / REQUEST).write_text(request.model_dump_json())
        try:
            return self._run_child(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _run_child(self, folder: Path) -> _Run | None:
        with self._starting:
            if self._given_way.is_set():
                return None
            self._process = subprocess.Popen(
                [*PROGRAM, str(folder), str(os.getpid())],
                stdout=subprocess.DEVNULL,
                env={**ENVIRONMENT, **os.environ},
                start_new_session=True,  # Ctrl-C in a terminal is the worker's to answer
            )
        if self._process.wait() != 0:
            if not self._given_way.is_set():
                log.warning("calibration.failed", returncode=self._process.returncode)
            return None
        result: Json = json.loads((folder / RESULT).read_text())
        return _Run(Told.model_validate(result[MEASURED]), result)


def default_encoder(known: encoders.Known) -> Json | None:
    """Return the encoder of a job that names none, or the first that is on this machine; None where there is none."""
    default = EncoderConfig()
    here = [name for name, location in sorted(known.items()) if not location.startswith("hub:")]
    name = default.name if default.name in here else next(iter(here), None)
    return encoders.describe(default.model_copy(update={"name": name}), known) if name else None


def _with_torch(run: _Run, encoder: str) -> list[Seen]:
    """Return the start of a step's process with its encoder, and what was measured after it."""
    told, result = run
    seen = Seen(
        device=told.device,
        kind=CALIBRATION,
        encoder=encoder,
        work=Work(),
        size=told.size,
        starts=1,
        seconds=told.seconds - result["seconds"],
        peak_bytes=None,
        groups=told.groups,
        precision=told.precision,
        rate=result["tokens_per_character"],
    )
    parts = [replace(seen, starts=0, rate=None, **{**part, "work": Work(**part["work"])}) for part in result["parts"]]
    return [seen, *parts]


def _without(run: _Run) -> list[Seen]:
    """Return the start of a process without torch, and what it measured."""
    told, result = run
    start = Seen(
        device=told.device,
        kind=CALIBRATION,
        encoder="",
        work=Work(),
        size=None,
        starts=1,
        seconds=told.seconds - result["seconds"],
        peak_bytes=None,
    )
    work = Work(read=result["characters"])
    return [start, replace(start, work=work, starts=0, seconds=result["seconds"], peak_bytes=told.peak_bytes)]

"""A running service with small worlds of jobs in it; what each job must make is known from a run of the library that
nothing interrupted.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from accounts import Place, Scale
from lives import Bell
from patient import Patient
from processes import Processes
from sqlalchemy import select
from tiny import write_encoder
from worlds import write_world

from app.db import Database
from app.jobs import Jobs
from app.keys import Keys, Scope
from app.models import Job, JobStep, Status, Step
from app.settings import Settings
from app.storage import FolderStorage
from fastmtl.config import JobConfig
from fastmtl.local import select_rows

Json = dict
SMALL: Json = {
    "encoder": {"name": "tiny", "max_length": 24},
    "budget": 20,
    "discriminator": {"rows_per_task": 20, "epochs": 2, "learning_rate": 2e-3, "batch_size": 8},
    "target": {"epochs": 1, "learning_rate": 1e-3, "batch_size": 16},
    "finetuning": {"epochs": 1, "learning_rate": 1e-3, "batch_size": 16},
    "precision": "fp32",
    "compare": [],
    "explain": 0,
}
RANDOM: Json = {**SMALL, "method": "random", "leak_guard": "off"}
"""Five steps: rank, select, target, finetune, report; two of them with torch."""
WORDS: Json = {**SMALL, "method": "dsir"}
"""Six steps: with the leak guard."""
PAPER: Json = {
    **SMALL,
    "compare": ["primary_only"],
    "explain": 3,
    "discriminator": {**SMALL["discriminator"], "epochs": 40},
    "finetuning": {**SMALL["finetuning"], "epochs": 80},
}
"""Eleven steps: the paper's method, explanations, a second arm; trainings long enough to be resumed in the middle."""
LONG: Json = {
    **SMALL,
    "leak_guard": "off",
    "discriminator": {**SMALL["discriminator"], "epochs": 100, "batch_size": 1},
}
"""A first step that takes longer than any test waits, and that no other job shares: what it makes is never asked."""
MORE_ATTEMPTS = 100
SHORT_LEASES = {
    "FASTMTL_LEASE_SECONDS": "3",
    "FASTMTL_HEARTBEAT_SECONDS": "1",
    "FASTMTL_SWEEP_SECONDS": "0.5",
    "FASTMTL_RING_AGAIN_SECONDS": "4",
    "FASTMTL_POLL_SECONDS": "0.1",
}
NOT_THE_SAME_TWICE = ("costs.json", "report.json", "report.html", "evaluation.json", "model/fastmtl.json")
"""Files that tell seconds, or the memory that was free: their figures are in the step's result, which is compared."""


def another(config: Json, number: int) -> Json:
    """Return a config that differs in a setting nobody reads: all but its report is then found done."""
    return {**config, "options": {"ngram_classifier": {"inverse_regularisation": number + 1}}}


class Scene:
    """A running service, its database, and worlds of datasets of tenants of their own."""

    def __init__(self, place: Place, processes: Processes, settings: Settings) -> None:
        self.place, self.processes, self.settings = place, processes, settings
        self.database = Database(settings.database)
        (place.folder / "world").mkdir()
        self.files = write_world(place.folder / "world")
        self._keys = Keys(self.database, settings)
        self._clients: list[Patient] = []
        self._cache = place.folder / "expected"
        self.expected: dict[str, Json] = {}
        """By fingerprint: {result, files: {name: sha256}}."""

    def tenant(self, name: str) -> World:
        """Make a tenant with the world's datasets."""
        tenant = self._keys.tenant(name, make=True)
        key = self._keys.create(tenant.id, name, Scope.WRITE).text
        client = Patient(self.processes.url, key)
        self._clients.append(client)
        datasets = {name: client.upload(path) for name, path in self.files.items() if name != "validation"}
        return World(self, client, tenant.id, key, datasets)

    def prepared(self, config: Json) -> World:
        """Make a world in which such a job is done, without a worker: its files are those that the library made."""
        world = self.tenant("prepared")
        job_id = world.submit(config)
        self.compute(config)
        jobs, storage = Jobs(self.database, Bell(), self.settings), FolderStorage(self.settings.storage)
        while queued := [step for step in self.steps_of(job_id) if step.status == Status.QUEUED]:
            for step in queued:
                claim = jobs.claim(step.id, "the library")
                assert claim is not None, "a worker was faster"
                made = self._cache / step.fingerprint
                with storage.incoming() as folder:
                    shutil.copytree(made, folder / "output")
                    files = storage.store_folder(folder / "output", f"steps/{step.id}/{claim.fence}")
                assert jobs.finish(claim, files, json.loads((made / "manifest.json").read_text())["result"])
        assert self.statuses([job_id]) == {job_id: Status.SUCCEEDED}
        return world

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            client.close()
        self.database.close()

    @property
    def cut(self) -> int:
        """Requests whose connection broke."""
        return sum(client.cut for client in self._clients)

    def compute(self, config: Json) -> None:
        """Learn from the library what the steps of such a job must leave behind."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # as the workers': sums of floats depend on it
        select_rows(
            self.files["primary"],
            [self.files["alike"], self.files["unlike"]],
            self.place.folder / "library",
            config=JobConfig.model_validate(config),
            known_encoders=self.settings.encoders,
            cache=self._cache,
            device="cpu",
        )
        torch.set_num_threads(threads)
        for manifest in self._cache.glob("*/manifest.json"):
            if manifest.parent.name not in self.expected:
                told = json.loads(manifest.read_text())
                files = {name: digest for name, _, digest in told["files"] if name not in NOT_THE_SAME_TWICE}
                self.expected[manifest.parent.name] = {"result": told["result"], "files": files}

    def steps_of(self, job_id: str) -> list[Step]:
        """Return a job's steps as another connection sees them."""
        with self.database.reading() as session:
            mine = select(JobStep.step_id).where(JobStep.job_id == uuid.UUID(job_id))
            return list(session.scalars(select(Step).where(Step.id.in_(mine))))

    def statuses(self, job_ids: Sequence[str]) -> dict[str, str]:
        """Return how jobs stand, by id."""
        with self.database.reading() as session:
            mine = select(Job.id, Job.status).where(Job.id.in_([uuid.UUID(each) for each in job_ids]))
            return {str(job_id): status for job_id, status in session.execute(mine)}

    def unfinished(self, job_ids: Sequence[str]) -> list[str]:
        """Return the jobs that are not over."""
        return [job_id for job_id, status in self.statuses(job_ids).items() if not Status(status).final]


class World:
    """A tenant with datasets: where jobs are submitted."""

    def __init__(self, scene: Scene, client: Patient, tenant_id: uuid.UUID, key: str, datasets: dict[str, str]) -> None:
        self.scene, self.client, self.tenant_id, self.key = scene, client, tenant_id, key
        self.request = {
            "primary": datasets["primary"],
            "auxiliary": [datasets["alike"], datasets["unlike"]],
        }
        self.jobs: dict[str, Json] = {}
        """Configs by job id."""

    def submit(self, config: Json) -> str:
        """Submit a job and return its id."""
        job_id = self.client.submit(f"job {len(self.jobs)}", **self.request, config=config)
        self.jobs[job_id] = config
        return job_id


@contextmanager
def running(place: Place, scale: Scale, **settings: str) -> Iterator[Scene]:
    """Run the API; workers are started by the test. Leases and polls are short unless it is the full form."""
    encoder = write_encoder("bert", place.folder / "tiny")
    environment = {
        **place.environment,
        "FASTMTL_ENCODERS": json.dumps({"tiny": f"folder:{encoder}"}),
        "FASTMTL_DEVICE": "cpu",
        "FASTMTL_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "FASTMTL_CALIBRATE": "false",
        **({} if scale.full else SHORT_LEASES),
        **settings,
    }
    with Processes(environment) as processes:
        scene = Scene(place, processes, _settings(environment))
        try:
            yield scene
        finally:
            scene.close()


def _settings(environment: dict[str, str]) -> Settings:
    """Read the settings as the processes do."""
    given = {name.removeprefix("FASTMTL_").lower(): value for name, value in environment.items()}
    return Settings.model_validate({**given, "encoders": json.loads(given["encoders"])})

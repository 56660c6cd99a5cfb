"""Files without a row are removed, those that may still be on their way in are not."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

from service import Api

from app.janitor import remove_orphans


def leave(service: Api, key: str, age_seconds: float) -> Path:
    """Leave a file as a process did that ended too early."""
    path = service.parts.storage.path(f"{key}/file")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"left")
    os.utime(path.parent, (time.time() - age_seconds,) * 2)
    return path


def test_old_files_without_a_row_are_removed_and_young_ones_stay(service: Api):
    names = ("steps", "checkpoints", "datasets")
    old = [leave(service, f"{name}/{uuid.uuid4()}", 3601) for name in names]
    young = [leave(service, f"{name}/{uuid.uuid4()}", 10) for name in names]
    removed = remove_orphans(service.parts.database, service.parts.storage)
    assert removed == sorted(f"{path.parent.parent.name}/{path.parent.name}" for path in old)
    assert [path.exists() for path in old + young] == [False] * 3 + [True] * 3


def test_what_the_database_knows_stays_however_old_it_is(service: Api):
    job = service.submit()
    service.finish(job, "discriminator", {"model.bin": b"weights"})
    folders = [folder for folder in (service.home / "storage").glob("*/*") if folder.is_dir()]
    for folder in folders:
        os.utime(folder, (0, 0))
    assert remove_orphans(service.parts.database, service.parts.storage) == []


def test_checkpoints_stay_while_their_step_may_need_them(service: Api):
    job = service.submit()
    ids = {step["name"]: step["id"] for step in service.job(job)["steps"]}
    service.finish(job, "discriminator", {"model.bin": b"weights"})
    done, needed = (leave(service, f"checkpoints/{ids[name]}", 3601) for name in ("discriminator", "score 1/1"))
    remove_orphans(service.parts.database, service.parts.storage)
    assert (done.exists(), needed.exists()) == (False, True)

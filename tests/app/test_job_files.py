"""Where a job's rows lie, and what they say."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from looked_at import stored, write_dataset
from service import Api

from app.errors import Conflict, NotFound
from app.job_files import MAX_CHARS, Member, Text, job_files, texts_of
from app.keys import DEFAULT_TENANT
from fastmtl.artifacts import sha256


def files_of(service: Api, job: dict):
    tenant = service.parts.keys.tenant(DEFAULT_TENANT).id
    return job_files(service.parts.database, service.parts.storage, tenant, uuid.UUID(job["id"]))


def test_a_job_that_has_chosen_has_files_and_members(service: Api):
    job = service.submit()
    service.choose(job)
    found = files_of(service, job)
    assert (found.primary.key, list(found.auxiliary), found.explanations) == ("primary", ["other"], None)
    files = (found.selection, found.scores, found.subset, found.leaks, found.primary.file)
    for each in files:
        with each.local() as path:
            assert sha256(path) == each.sha256
    service.explain(job)
    assert files_of(service, job).explanations is not None


def test_a_job_that_has_chosen_nothing_has_none(service: Api):
    with pytest.raises(Conflict, match="the job is queued and has chosen no rows"):
        files_of(service, service.submit())
    with pytest.raises(NotFound):
        files_of(service, {"id": str(uuid.uuid4())})


def test_a_number_has_the_digits_that_were_written(tmp_path: Path):
    path = write_dataset(tmp_path, "numbers", [f"text {row},{row / 10 + 0.3}" for row in range(9)])
    assert texts_of(Member("numbers", uuid.uuid4(), 9, stored(path)), [0, 4]) == {
        0: Text("text 0", None, 0.3),
        4: Text("text 4", None, 0.7),
    }


def test_a_row_says_what_stands_in_the_file(tmp_path: Path):
    path = write_dataset(tmp_path, "pairs", ["<b>a</b>,b,yes", f"{'x' * 3000},d,no"], "sentence1,sentence2,label")
    member = Member("pairs", uuid.uuid4(), 2, stored(path))
    assert texts_of(member, [1, 0, 1]) == {
        0: Text("<b>a</b>", "b", "yes"),
        1: Text("x" * MAX_CHARS + "…", "d", "no"),
    }
    assert texts_of(member, []) == {}

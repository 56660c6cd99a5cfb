"""What a tenant may have is counted where it is added to: two that would pass alone do not pass together."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from lives import TRAIN, Bell
from service import CSV, Api, api, many
from sqlalchemy import select

from app import tenants
from app.datasets import Datasets
from app.db import Database
from app.errors import ApiError
from app.jobs import Jobs
from app.models import Dataset, Job, PartialUpload
from app.quotas import Quota, admit_job, quotas_of
from app.schemas_uploads import UploadOptions
from app.settings import Settings
from app.storage import FolderStorage
from app.uploads import Uploads

BYTES = len(CSV)
ROWS = 3
TUS = {"Tus-Resumable": "1.0.0"}


def refusal(answer) -> tuple[int, str, dict]:
    problem = answer.json()
    return answer.status_code, problem["type"].rpartition(":")[2], problem["errors"][0]


@pytest.mark.parametrize(
    ("quota", "name", "used", "limit", "more"),
    [
        ({"quota_bytes": 2 * BYTES - 1}, "bytes", BYTES, 2 * BYTES - 1, BYTES),
        ({"quota_rows": 2 * ROWS - 1}, "rows", ROWS, 2 * ROWS - 1, ROWS),
    ],
)
def test_an_upload_beyond_the_quota_is_refused_and_leaves_nothing(
    tmp_path: Path, quota: dict, name: str, used: int, limit: int, more: int
):
    with api(tmp_path, **quota) as client:
        service = Api(client, tmp_path)
        first = service.upload()
        traces = service.traces()
        answer = client.post("/v1/datasets", content=CSV)
        told = (
            f"the datasets hold {used} of {limit} {name}, and {more} more do not fit; delete datasets that are no "
            "longer needed, or ask the operator for a larger quota"
        )
        assert refusal(answer) == (
            403,
            "quota-exceeded",
            {"message": told, "field": name, "used": used, "limit": limit},
        )
        assert service.traces() == traces
        assert client.delete(f"/v1/datasets/{first['id']}").status_code == 200
        service.upload()


def test_what_fills_a_quota_exactly_is_taken(tmp_path: Path):
    with api(tmp_path, quota_bytes=2 * BYTES, quota_rows=2 * ROWS) as client:
        service = Api(client, tmp_path)
        assert [service.upload()["rows"] for _ in range(2)] == [ROWS, ROWS]


def test_a_length_that_cannot_fit_is_refused_before_it_comes(tmp_path: Path):
    with api(tmp_path, quota_bytes=100) as client:
        service = Api(client, tmp_path)

        def body():
            raise AssertionError("a piece of the body was asked for")
            yield b""

        answer = client.post("/v1/datasets", content=body(), headers={"Content-Length": "101"})
        assert refusal(answer)[:2] == (403, "quota-exceeded")
        assert service.traces() == []


@pytest.mark.parametrize("quota", ["quota_bytes", "quota_rows"])
def test_where_nothing_fits_any_more_no_upload_is_read(tmp_path: Path, quota: str):
    with api(tmp_path, **{quota: 0}) as client:
        Api(client, tmp_path)
        assert refusal(client.post("/v1/datasets", content="not even a table"))[1] == "quota-exceeded"
        form = client.post("/v1/datasets", files={"file": ("a.csv", CSV)})
        assert refusal(form)[1] == "quota-exceeded"


def begin(client: TestClient, length: int = BYTES) -> Response:
    return client.post("/v1/uploads", headers={**TUS, "Upload-Length": str(length)})


def send(client: TestClient, path: str, content: str) -> Response:
    part = {**TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    return client.patch(path, headers=part, content=content)


def used_bytes(client: TestClient) -> int:
    return client.get("/v1/keys/self").json()["quotas"]["bytes"]["used"]


def test_an_unfinished_upload_counts_with_what_it_declared_and_once_it_is_whole_as_its_dataset(tmp_path: Path):
    with api(tmp_path, quota_bytes=2 * BYTES) as client:
        service = Api(client, tmp_path)
        path = begin(client).headers["Location"]
        service.upload()
        full = f"the datasets hold {2 * BYTES} of {2 * BYTES} bytes ({BYTES} of them declared for unfinished uploads)"
        refused = [refusal(each) for each in (begin(client, 1), client.post("/v1/datasets", content="x"))]
        told = f"{full}, and 1 more do not fit; delete datasets that are no longer needed, or ask the operator for a "
        problem = {"message": f"{told}larger quota", "field": "bytes", "used": 2 * BYTES, "limit": 2 * BYTES}
        assert refused == [(403, "quota-exceeded", problem)] * 2
        assert (send(client, path, CSV).status_code, used_bytes(client)) == (204, 2 * BYTES)


def test_an_upload_in_parts_with_more_rows_than_the_quota_is_refused_when_it_is_whole(tmp_path: Path):
    with api(tmp_path, quota_rows=ROWS - 1) as client:
        Api(client, tmp_path)
        whole = send(client, begin(client).headers["Location"], CSV)
        assert refusal(whole)[:2] == (403, "quota-exceeded")
        assert client.get("/v1/datasets").json()["items"] == []


def expire(service: Api, path: str) -> None:
    with service.parts.database.transaction() as session:
        session.get_one(PartialUpload, uuid.UUID(path.rpartition("/")[2])).expires_at = datetime(2026, 1, 1, tzinfo=UTC)
    service.parts.uploads.sweep()


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda service, path: service.client.delete(path, headers=TUS), id="given up"),
        pytest.param(lambda service, path: send(service.client, path, "x" * BYTES), id="refused"),
        pytest.param(expire, id="expired"),
        pytest.param(
            lambda service, path: service.client.delete(send(service.client, path, CSV).headers["FastMTL-Dataset"]),
            id="its dataset deleted",
        ),
    ],
)
def test_an_upload_in_parts_that_ended_counts_no_more(tmp_path: Path, end: Callable[[Api, str], object]):
    with api(tmp_path, quota_bytes=BYTES) as client:
        service = Api(client, tmp_path)
        path = begin(client).headers["Location"]
        assert (begin(client).status_code, used_bytes(client)) == (403, BYTES)
        end(service, path)
        assert (used_bytes(client), begin(client).status_code) == (0, 201)


def test_as_many_jobs_as_may_be_at_once_and_no_more(tmp_path: Path):
    with api(tmp_path, quota_live_jobs=2) as client:
        service = Api(client, tmp_path)
        request = service.request()
        jobs = [client.post("/v1/jobs", json=request).json() for _ in range(2)]
        refused = client.post("/v1/jobs", json=request)
        told = "2 jobs are not over, and the quota is 2 at once; wait for one to end, or cancel one"
        assert refusal(refused) == (
            429,
            "quota-exceeded",
            {"message": told, "field": "live_jobs", "used": 2, "limit": 2},
        )
        assert refused.headers["Retry-After"] == "30"
        client.post(f"/v1/jobs/{jobs[0]['id']}/cancel")
        third = client.post("/v1/jobs", json=request)
        retried = client.post(f"/v1/jobs/{jobs[0]['id']}/retry")
        assert (third.status_code, refusal(retried)[:2]) == (202, (429, "quota-exceeded"))


def test_a_paused_job_is_not_over(tmp_path: Path):
    with api(tmp_path, quota_live_jobs=1) as client:
        service = Api(client, tmp_path)
        job = service.submit()
        client.post(f"/v1/jobs/{job['id']}/pause")
        assert client.post("/v1/jobs", json=service.request()).status_code == 429
        assert client.post(f"/v1/jobs/{job['id']}/resume").status_code == 202


def test_a_job_has_the_priority_that_it_asks_for_as_far_as_its_tenant_may(tmp_path: Path):
    with api(tmp_path, quota_priority=6) as client:
        service = Api(client, tmp_path)
        request = service.request()
        had = [client.post("/v1/jobs", json={**request, **more}).json()["priority"] for more in ({}, {"priority": 6})]
        refused = client.post("/v1/jobs", json={**request, "priority": 7})
        with service.parts.database.transaction() as session:
            tenants.find(session, "default").max_priority = 3
        lower = client.post("/v1/jobs", json=request).json()["priority"]
        out_of_bounds = client.post("/v1/jobs", json={**request, "priority": 10})
    told = "a job of this tenant may have a priority of at most 6, not 7; ask the operator for more"
    assert (had, lower, out_of_bounds.status_code) == ([5, 6], 3, 422)
    assert refusal(refused) == (
        403,
        "quota-exceeded",
        {"message": told, "field": "priority", "used": 6, "limit": 6},
    )


def test_a_tenants_own_quota_goes_before_the_services(tmp_path: Path):
    with api(tmp_path, quota_rows=1) as client:
        service = Api(client, tmp_path)
        with service.parts.database.transaction() as session:
            tenants.find(session, "default").max_rows = 100
        assert service.upload()["rows"] == ROWS


class World:
    """Two tenants of one database, and what they do at the same moment."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.settings = database, Settings(quota_rows=100, quota_live_jobs=1, quota_bytes=10_000)
        self.datasets = Datasets(database, FolderStorage(folder), self.settings)
        self.uploads = Uploads(database, FolderStorage(folder), self.datasets, self.settings)
        self.jobs = Jobs(database, Bell(), self.settings)
        with database.transaction() as session:
            self.ada, self.eve = (tenants.add(session, name, datetime.now(UTC)).id for name in ("ada", "eve"))

    def upload(self, tenant_id: uuid.UUID) -> object:
        async def stream() -> AsyncIterator[bytes]:
            yield many(60, "word").encode()

        received = self.datasets.receive(tenant_id, stream(), {}, "text/csv", UploadOptions(), uuid.uuid4())
        return asyncio.run(received)

    def begin(self, tenant_id: uuid.UUID) -> object:
        return asyncio.run(self.uploads.create(tenant_id, 6_000, UploadOptions(), None, None, uuid.uuid4()))

    def submit(self, tenant_id: uuid.UUID) -> object:
        job = Job(id=uuid.uuid4(), tenant_id=tenant_id, name="a job", config={})
        return self.jobs.create(job, [], [TRAIN], lambda session: admit_job(session, self.settings, tenant_id))


def at_once(*calls: Callable[[], object]) -> list[str]:
    told: list[str] = []
    gate = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> None:
        gate.wait()
        try:
            call()
            told.append("taken")
        except ApiError as error:
            told.append(error.slug)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(told)


def test_of_two_uploads_at_once_that_do_not_fit_together_one_is_taken(database: Database, tmp_path: Path):
    world = World(database, tmp_path / "storage")
    assert at_once(*[lambda: world.upload(world.ada)] * 2) == ["quota-exceeded", "taken"]
    with database.reading() as session:
        kept = session.scalars(select(Dataset.storage_key)).all()
        assert quotas_of(session, world.settings, world.ada).rows == Quota(60, 100)
    files = [path for path in (tmp_path / "storage").rglob("*") if path.is_file()]
    assert [str(path.relative_to(tmp_path / "storage")) for path in files] == list(kept)


def test_of_two_uploads_in_parts_that_are_declared_at_once_and_do_not_fit_together_one_is_taken(
    database: Database, tmp_path: Path
):
    world = World(database, tmp_path / "storage")
    calls = [lambda: world.begin(world.ada)] * 2 + [lambda: world.begin(world.eve)]
    assert at_once(*calls) == ["quota-exceeded", "taken", "taken"]
    with database.reading() as session:
        assert quotas_of(session, world.settings, world.ada).bytes == Quota(6_000, 10_000)


def test_uploads_of_two_tenants_do_not_count_for_one_another(database: Database, tmp_path: Path):
    world = World(database, tmp_path / "storage")
    assert at_once(lambda: world.upload(world.ada), lambda: world.upload(world.eve)) == ["taken", "taken"]


def test_of_two_jobs_at_once_that_do_not_fit_together_one_is_taken(database: Database, tmp_path: Path):
    world = World(database, tmp_path / "storage")
    calls = [lambda: world.submit(world.ada)] * 3 + [lambda: world.submit(world.eve)]
    assert at_once(*calls) == ["quota-exceeded", "quota-exceeded", "taken", "taken"]

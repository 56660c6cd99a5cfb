"""The API over an object store: uploads, downloads, looks and deletes are what they are over a folder."""

from __future__ import annotations

import base64
import hashlib
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import httpx2
import pytest
from buckets import KEY_ID, SECRET, Bucket, make_bucket
from gate import Gate
from service import CSV, Api, api
from serving import served
from structlog.testing import capture_logs

from app import janitor
from app.janitor import remove_orphans
from fastmtl.client import Client

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = 'odd "näme"\\ 100%;.bin'
AWAY = "the object store does not answer; try again in a moment"


def made(service: Api) -> dict:
    """A job that has chosen rows and made files."""
    job = service.submit(compare=[])
    service.choose(job)
    service.finish(job, "target (selection)")
    service.finish(job, "finetune (selection)", {"model/a.bin": CONTENT, f"model/{NAME}": b"odd"})
    return job


def stored(bucket: Bucket, prefix: str) -> list[str]:
    return [key for key in bucket.keys() if key.startswith(f"{prefix}/")]


@pytest.fixture
def service(tmp_path: Path, bucket: Bucket, gate: Gate) -> Iterator[Api]:
    with api(tmp_path / "home", **bucket.behind(gate.url).settings, storage_patience_seconds=0.3) as client:
        yield Api(client, tmp_path / "home")


class Kept(NamedTuple):
    """A job that nothing is done to but looking."""

    home: Path
    bucket: Bucket
    job: dict

    @contextmanager
    def served(self, **settings: object) -> Iterator[Api]:
        with api(self.home, **self.bucket.settings, **settings) as client:
            yield Api(client, self.home)


@pytest.fixture(scope="module")
def kept(store_server: str, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    found = Kept(tmp_path_factory.mktemp("kept") / "home", make_bucket(store_server), {})
    with found.served() as service:
        return found._replace(job=made(service))


def test_what_is_looked_at_and_downloaded_is_what_was_made(kept: Kept):
    """By a process that has nothing of it on its disk."""
    shutil.rmtree(kept.home / "storage")
    with kept.served() as service:
        look_at_rows(service, kept.job)
        download_a_file(service, kept.job)
        download_a_folder(service, kept.job)
        for kind in ("json", "csv", "jsonl", "parquet"):
            answer = service.client.get(f"/v1/jobs/{kept.job['id']}/selection?format={kind}")
            assert (answer.status_code, len(answer.content) > 100) == (200, True)


def look_at_rows(service: Api, job: dict) -> None:
    rows = service.client.get(f"/v1/jobs/{job['id']}/rows").json()
    assert [(each["dataset"], each["row"]) for each in rows["items"]] == [("other", row) for row in (4, 3, 2, 1, 0)]
    assert rows["items"][0]["text_a"] == "other number 4"
    dataset = service.client.get("/v1/datasets").json()["items"][0]["id"]
    looks = [f"jobs/{job['id']}/{path}" for path in ("scores", "rows/below", f"overlap/{job['id']}")]
    looks += [f"datasets/{dataset}/{path}" for path in ("shape", "rows/3")]
    assert {path: service.client.get(f"/v1/{path}").status_code for path in looks} == dict.fromkeys(looks, 200)


def download_a_file(service: Api, job: dict) -> None:
    url = f"/v1/jobs/{job['id']}/artifacts/model/a.bin"
    whole = service.client.get(url, follow_redirects=False)
    assert (whole.status_code, whole.content, whole.headers["ETag"]) == (200, CONTENT, f'"{SHA256}"')
    part = service.client.get(url, headers={"Range": "bytes=1000-1999", "If-Range": f'"{SHA256}"'})
    assert (part.status_code, part.content) == (206, CONTENT[1000:2000])
    several = service.client.get(url, headers={"Range": "bytes=0-1,-2"})
    assert (several.status_code, several.content.count(b"Content-Range")) == (206, 2)
    assert service.client.get(url, headers={"If-None-Match": f'"{SHA256}"'}).status_code == 304
    assert service.client.head(url).headers["Content-Length"] == str(len(CONTENT))


def download_a_folder(service: Api, job: dict) -> None:
    whole = service.client.get(f"/v1/jobs/{job['id']}/artifacts/model")
    rest = service.client.get(f"/v1/jobs/{job['id']}/artifacts/model", headers={"Range": "bytes=700-"})
    assert (whole.headers["Content-Type"], rest.content) == ("application/x-tar", whole.content[700:])


def test_a_dataset_is_in_the_bucket_and_nothing_of_it_lies_where_uploads_come_in(service: Api, bucket: Bucket):
    dataset = service.upload()
    (key,) = stored(bucket, "datasets")
    assert key.startswith(f"datasets/{dataset['id']}/") and key.endswith("/data.parquet")
    assert list((service.home / "storage" / "incoming").iterdir()) == []


def test_an_upload_in_parts_is_put_together_here_and_then_sent(service: Api, bucket: Bucket):
    content = CSV.encode()
    tus = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
    digest = base64.b64encode(hashlib.sha256(content).hexdigest().encode()).decode()
    created = {**tus, "Upload-Length": str(len(content)), "Upload-Metadata": f"sha256 {digest}"}
    upload = service.client.post("/v1/uploads", headers=created).headers["Location"]
    for start, stop in ((0, 20), (20, len(content))):
        answer = service.client.patch(upload, headers={**tus, "Upload-Offset": str(start)}, content=content[start:stop])
        assert answer.status_code == 204, answer.text
    assert len(stored(bucket, "datasets")) == 1
    assert list((service.home / "storage" / "uploads").iterdir()) == []


def test_what_was_deleted_is_in_the_bucket_no_more(service: Api, bucket: Bucket):
    job = made(service)
    service.end(job)
    files = len(stored(bucket, "steps"))
    assert (service.client.delete(f"/v1/jobs/{job['id']}").json()["files"], stored(bucket, "steps")) == (files, [])
    for dataset in service.client.get("/v1/datasets").json()["items"]:
        assert service.client.delete(f"/v1/datasets/{dataset['id']}").json()["bytes"] > 0
    assert bucket.keys() == []


def test_a_job_is_deleted_while_the_store_is_away_and_its_files_go_later(service: Api, bucket: Bucket, gate: Gate):
    job = service.plain_job()
    service.finish(job, "discriminator", {"model/a.bin": CONTENT})
    service.end(job)
    gate.shut()
    assert service.client.delete(f"/v1/jobs/{job['id']}").status_code == 200
    gate.open()
    assert len(stored(bucket, "steps")) == 1
    (removed,) = remove_orphans(service.parts.database, service.parts.storage, older_than_seconds=-60)
    assert (removed.startswith("steps/"), bucket.keys()) == (True, [])


def test_a_file_that_no_row_names_goes_after_an_hour_and_not_before(service: Api, bucket: Bucket):
    kept = service.upload()["id"]
    bucket.overwrite(f"steps/{uuid.uuid4()}/1/model", b"left by a process that died")
    bucket.overwrite("steps/not-ours/1/model", b"of somebody else")
    assert remove_orphans(service.parts.database, service.parts.storage) == []
    assert janitor.ON_ITS_WAY_SECONDS == 3600
    removed = remove_orphans(service.parts.database, service.parts.storage, older_than_seconds=-60)
    assert (len(removed), stored(bucket, "steps")) == (1, ["steps/not-ours/1/model"])
    assert stored(bucket, "datasets")[0].startswith(f"datasets/{kept}/")


def test_while_the_store_is_away_each_answer_says_so_and_when_to_come_again(service: Api, gate: Gate):
    job = made(service)
    gate.shut()
    url, cache = f"/v1/jobs/{job['id']}", service.home / "storage" / "cache"
    for path in ("steps", "datasets"):
        shutil.rmtree(cache / path)
    with capture_logs() as lines:
        answers = [
            service.client.post("/v1/datasets", content=CSV),
            service.client.get(f"{url}/artifacts/model/a.bin"),
            service.client.get(f"{url}/selection"),
            service.client.get(f"{url}/rows"),
        ]
    for answer in answers:
        assert (answer.status_code, answer.headers["Retry-After"], answer.json()["detail"]) == (503, "5", AWAY)
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert not any(secret in str(lines) for secret in (SECRET, KEY_ID))
    assert list((service.home / "storage" / "incoming").iterdir()) == []
    ready = service.client.get("/v1/ready")
    assert (ready.status_code, ready.json()["checks"]["storage"]["detail"]) == (503, "the object store does not answer")
    gate.open()
    assert service.client.get("/v1/ready").status_code == 200
    assert service.client.get(f"{url}/artifacts/model/a.bin").content == CONTENT
    assert service.upload()["rows"] == 3


def test_an_upload_in_parts_that_could_not_be_sent_is_gone_on_with(service: Api, gate: Gate):
    content = CSV.encode()
    tus = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
    upload = service.client.post("/v1/uploads", headers={**tus, "Upload-Length": str(len(content))}).headers["Location"]
    gate.shut()
    answer = service.client.patch(upload, headers={**tus, "Upload-Offset": "0"}, content=content)
    assert (answer.status_code, answer.json()["detail"]) == (503, AWAY)
    gate.open()
    whole = {**tus, "Upload-Offset": str(len(content))}
    answer = service.client.patch(upload, headers=whole, content=b"")
    assert (answer.status_code, "fastmtl-dataset" in answer.headers) == (204, True)


def test_a_presigned_file_is_at_an_address_that_needs_no_key(kept: Kept):
    url = f"/v1/jobs/{kept.job['id']}/artifacts/model/{quote(NAME)}"
    with kept.served(storage_presigned_seconds=60) as service, capture_logs() as lines:
        answer = service.client.get(url, follow_redirects=False)
    assert "X-Amz-Signature" in answer.headers["Location"] and "X-Amz" not in str(lines)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (307, "no-store")
    assert answer.headers["Location"].startswith(f"{kept.bucket.endpoint}/{kept.bucket.name}/fastmtl/steps/")
    file = httpx2.get(answer.headers["Location"])
    assert (file.content, file.headers["Content-Type"]) == (b"odd", "application/octet-stream")
    assert file.headers["Content-Disposition"] == answer.headers["Content-Disposition"]


def test_what_the_client_has_and_what_is_no_file_of_the_store_is_answered_here(kept: Kept):
    url = f"/v1/jobs/{kept.job['id']}"
    known = {"If-None-Match": f'"{SHA256}"'}
    with kept.served(storage_presigned_seconds=60) as service:
        asked = [
            service.client.get(f"{url}/artifacts/model/a.bin", headers=known, follow_redirects=False),
            service.client.head(f"{url}/artifacts/model/a.bin", follow_redirects=False),
            service.client.get(f"{url}/artifacts/model", follow_redirects=False),
            service.client.get(f"{url}/artifacts/SHA256SUMS", follow_redirects=False),
            service.client.get(f"{url}/selection", follow_redirects=False),
        ]
    assert [each.status_code for each in asked] == [304, 200, 200, 200, 200]


def test_the_python_client_goes_there_checks_the_digest_and_goes_on_where_it_was(kept: Kept, tmp_path: Path):
    of_the_same, of_another = tmp_path / f".rest.bin.{SHA256}.part", tmp_path / f".other.bin.{'0' * 64}.part"
    of_the_same.write_bytes(CONTENT[:5000]), of_another.write_bytes(b"something else")
    with kept.served(storage_presigned_seconds=60) as service, served(service.client.app) as url:
        with Client(url, service.key) as client:
            job = client.job(kept.job["id"])
            found = [job.download("model/a.bin", tmp_path / f"{name}.bin") for name in ("whole", "rest", "other")]
    assert [path.read_bytes() for path in found] == [CONTENT] * 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.bin", "rest.bin", "whole.bin"]

"""What is asked of an S3-compatible server, and what is said when it does not do it: never a credential."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import httpx2
import pytest
from buckets import KEY_ID, SECRET
from buckets import Bucket as MadeBucket

from app.storage import BRIEF, StorageUnavailable
from app.storage.bucket import PART_BYTES, READ_BYTES, Bucket
from app.store_address import Place

REFUSAL = f"""<?xml version="1.0" encoding="UTF-8"?><Error><Code>SignatureDoesNotMatch</Code>
<Message>The signature that we calculated is another</Message><AWSAccessKeyId>{KEY_ID}</AWSAccessKeyId></Error>"""


@contextmanager
def answering(status: int, body: str) -> Iterator[str]:
    """Answer everything the same, as a server that has had enough; give its address."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_PUT = do_POST = do_DELETE = answer

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def refused(place: Place) -> StorageUnavailable:
    """Try a bucket out; return why it cannot be used. Nothing that is written of it holds a credential."""
    with pytest.raises(StorageUnavailable) as caught:
        Bucket(place, *BRIEF).try_out()
    told = "".join(traceback.format_exception(caught.value)) + str(caught.value) + caught.value.hint
    assert SECRET not in told and KEY_ID not in told
    return caught.value


def test_a_bucket_that_works_is_tried_out_and_left_as_it_was(bucket: MadeBucket):
    Bucket(bucket.place, *BRIEF).try_out()
    assert bucket.keys() == []


def test_a_bucket_that_is_not_there_is_named(bucket: MadeBucket):
    error = refused(bucket.place._replace(bucket="no-such-bucket"))
    assert error.told == "the object store has no such bucket"
    assert error.filename == f"s3://no-such-bucket/fastmtl at {bucket.endpoint}"
    assert "FASTMTL_STORAGE_URL" in error.hint


@pytest.mark.usefixtures("bucket")
def test_credentials_that_are_refused_are_said_to_be():
    with answering(403, REFUSAL) as endpoint:
        error = refused(Place("some-bucket", "", endpoint, None))
    assert error.told == "the object store refuses the service's credentials (SignatureDoesNotMatch)"
    assert "AWS_ACCESS_KEY_ID" in error.hint


@pytest.mark.usefixtures("bucket")
def test_a_server_that_cannot_is_quoted_by_its_code_alone():
    with answering(500, "<Error><Code>InternalError</Code><Message>secret things</Message></Error>") as endpoint:
        assert refused(Place("some-bucket", "", endpoint, None)).told == "the object store answers InternalError"


@pytest.mark.usefixtures("bucket")
def test_an_address_where_nobody_is_does_not_answer():
    error = refused(Place("some-bucket", "", "http://127.0.0.1:1", None))
    assert (error.told, "FASTMTL_STORAGE_ENDPOINT" in error.hint) == ("the object store does not answer", True)


def test_credentials_that_nobody_has_set_are_asked_for(bucket: MadeBucket, monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")  # no test reaches for the network
    assert refused(bucket.place).told == "there are no credentials for the object store"


def test_credentials_come_from_a_file_where_one_is_named(bucket: MadeBucket, tmp_path: Path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    path = tmp_path / "credentials"
    path.write_text("[default]\naws_access_key_id = AKIAFROMAFILE\naws_secret_access_key = p%ssw0rd\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    used = Bucket(bucket.place, *BRIEF)
    used.try_out()
    assert "AKIAFROMAFILE" in used.sign("a", 60)
    path.write_text("[default]\n")
    error = refused(bucket.place)
    assert error.told == "there are no credentials for the object store"


def test_a_large_file_is_sent_in_parts_and_read_in_parts(bucket: MadeBucket, tmp_path: Path):
    content = os.urandom(2 * PART_BYTES + 12_345)
    (tmp_path / "large").write_bytes(content)
    used = Bucket(bucket.place, *BRIEF)
    used.put(tmp_path / "large", "large", {"Content-Type": "text/plain"})
    read = list(used.read("large", 5, len(content)))
    assert (b"".join(read), max(map(len, read))) == (content[5:], READ_BYTES)
    etag = httpx2.head(f"{bucket.endpoint}/{bucket.name}/fastmtl/large").headers["ETag"]
    assert re.fullmatch(r'"[0-9a-f]{32}-3"', etag)  # S3's way to say that it came in three parts

"""`fastmtl doctor`: every look says what it found and what to do."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from buckets import Bucket
from service import Api, api
from shell import shell_of
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from app import looks
from app.cli import app
from app.db import Database
from app.looks import Bad, Finding
from app.settings import Settings
from fastmtl.processor import processor_name


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTMTL_PORT", str(free_port()))
    return tmp_path / ".fastmtl"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def findings(*words: str, code: int = 0) -> dict[str, Finding]:
    result = CliRunner().invoke(app, ["doctor", *words, "--json"])
    assert result.exit_code == code, result.output
    told = json.loads(result.stdout)
    assert told["ok"] == (code == 0)
    return {each["name"]: Finding(**each) for each in told["findings"]}


def test_a_machine_where_nothing_was_started_is_well_and_left_as_it_is(home: Path):
    found = findings()
    assert {name: each.state for name, each in found.items() if each.state != "ok"} == {
        "database": "note",
        "api": "note",
    }
    assert found["database"].fix == "the first `fastmtl serve` makes it"
    assert found["api"].fix == "`fastmtl serve` starts it"
    assert not home.exists()


def test_people_get_a_line_each(home: Path):
    result = CliRunner().invoke(app, ["doctor"])
    *lines, last = result.stdout.splitlines()
    words = "versions packages settings database broker storage memory encoders api"
    assert ([line.split()[1] for line in lines], last) == (words.split(), "nothing that is needed is broken")


def test_the_device_is_asked_of_torch(home: Path):
    assert processor_name() in findings("--device")["device"].found


def test_a_device_that_is_not_there_is_to_be_mended(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FASTMTL_DEVICE", "cuda:77")
    found = findings("--device", code=1)["device"]
    assert (found.state, "cuda:77 cannot be used" in found.found, "FASTMTL_DEVICE" in str(found.fix)) == (
        "bad",
        True,
        True,
    )


def test_a_setting_that_is_wrong_is_named(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FASTMTL_SWEEP_SECONDS", "often")
    found = findings(code=1)["settings"]
    assert found.found.startswith("FASTMTL_SWEEP_SECONDS: Input should be a valid number")


@pytest.fixture
def served_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with api(tmp_path / "home") as inner, shell_of(Api(inner, tmp_path / "home"), monkeypatch):
        monkeypatch.setenv("FASTMTL_HOME", str(tmp_path / "home"))
        yield tmp_path / "home"


def test_a_service_without_a_worker_is_noted(served_home: Path):
    found = findings()
    assert (found["database"].state, found["api"].fix) == ("ok", "`fastmtl worker` starts one")
    (served_home / "workers").mkdir()
    (served_home / "workers" / "one").touch()
    assert findings()["api"].found.endswith("is ready, workers: 1")


def test_a_key_that_does_not_count_is_to_be_mended(served_home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FASTMTL_API_KEY", "fastmtl_wrong")
    assert "asks for a key that counts" in findings(code=1)["api"].found


def test_a_service_that_was_named_and_is_not_there_is_to_be_mended(home: Path):
    found = findings("--url", "http://127.0.0.1:9", code=1)["api"]
    assert (found.state, "http://127.0.0.1:9 cannot be reached" in found.found) == ("bad", True)


def test_tables_of_another_version_are_to_be_migrated(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path / 'fastmtl.sqlite3'}")
    database.migrate()
    with database.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'of_old'"))
    database.close()
    with pytest.raises(Bad, match="of version of_old") as caught:
        looks.database(Settings(home=tmp_path))
    assert "fastmtl migrate" in caught.value.fix


def test_a_database_without_tables_is_noted(tmp_path: Path):
    engine = create_engine(f"sqlite:///{tmp_path / 'fastmtl.sqlite3'}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE mine (a INTEGER)"))
    engine.dispose()
    assert looks.database(Settings(home=tmp_path)).state == "note"


@pytest.mark.parametrize(
    ("look", "setting", "url"),
    [
        (looks.database, "database_url", "postgresql+psycopg://me:secret@127.0.0.1:{}/fastmtl"),
        (looks.broker, "broker_url", "redis://:secret@127.0.0.1:{}/0"),
    ],
)
def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path: Path, look, setting: str, url: str):
    port = free_port()
    with pytest.raises(Bad, match=rf"127\.0\.0\.1:{port}.*cannot be reached") as caught:
        look(Settings(home=tmp_path, **{setting: url.format(port)}))
    assert ("secret" in caught.value.found + caught.value.fix, setting.upper() in caught.value.fix) == (False, True)


def test_a_full_disk_and_one_that_cannot_be_written_are_to_be_mended(tmp_path: Path):
    with pytest.raises(Bad, match="GiB free") as caught:
        looks.storage(Settings(home=tmp_path, min_free_bytes=2**60))
    assert "make room" in caught.value.fix
    (tmp_path / "file").touch()
    with pytest.raises(Bad, match="file cannot be written to"):
        looks.storage(Settings(home=tmp_path / "file" / "home"))


def test_an_object_store_is_tried_and_what_is_wrong_with_it_is_to_be_mended(tmp_path: Path, bucket: Bucket):
    found = looks.storage(Settings(home=tmp_path / "home", **bucket.settings))
    assert (found.state, found.found.startswith(f"s3://{bucket.name}/fastmtl at {bucket.endpoint}; ")) == ("ok", True)
    assert list(tmp_path.iterdir()) == []  # a look changes nothing
    gone = {**bucket.settings, "storage_endpoint": f"http://127.0.0.1:{free_port()}"}
    with pytest.raises(Bad, match="the object store does not answer") as caught:
        looks.storage(Settings(home=tmp_path, **gone))
    assert "FASTMTL_STORAGE_ENDPOINT" in caught.value.fix


def test_little_memory_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    total = psutil.virtual_memory()
    monkeypatch.setattr(looks.psutil, "virtual_memory", lambda: total._replace(available=2**28))
    assert looks.memory(Settings(home=tmp_path)).state == "note"


def test_encoders_whose_files_are_missing_are_named(tmp_path: Path):
    found = looks.encoder_files(Settings(home=tmp_path, encoders={"mine": f"folder:{tmp_path / 'gone'}"}))
    assert (found.state, "not to be had: mine" in found.found) == ("note", True)
    assert "there is no config.json in it" in str(found.fix)


def test_it_starts_without_torch(tmp_path: Path):
    code = "import sys, app.doctor; print('torch' in sys.modules, 'transformers' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ})
    assert told.stdout == "False False\n", told.stderr

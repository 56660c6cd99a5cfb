"""What a log holds, and what it must not."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app import logs
from app.db import Database

KEY = "fastmtl_3fJ8kQ0aZ1bX_" + "9cVb" * 8 + "4hT2Lw"


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Put back what `configure` changes for the whole process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.captureWarnings(False)
    root.handlers, root.level = handlers, level
    for name in logs.AS_LOUD_AS_OURS:
        logging.getLogger(name).setLevel(logging.NOTSET)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    for each in told:
        assert each.pop("timestamp").endswith("Z")
    return told


def fail_over_a_row(row: str) -> None:
    raise ValueError(len(row))


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_trace_is_logged_without_the_values_of_variables(capsys, log_format):
    logs.configure(log_format)
    row = "a user's row " * 3
    try:
        fail_over_a_row(row)
    except ValueError as error:
        structlog.get_logger().error("request.failed", exc_info=error)
    told = capsys.readouterr().err
    assert "request.failed" in told and "ValueError: 39" in told and "fail_over_a_row" in told
    assert row not in told


def test_a_line_says_what_it_is_about(capsys):
    logs.configure("json")
    with structlog.contextvars.bound_contextvars(request_id="r", step_id="s"):
        structlog.get_logger().info("step.began", attempt=2)
    assert lines(capsys) == [
        {"level": "info", "event": "step.began", "attempt": 2, "request_id": "r", "step_id": "s"},
    ]


def test_what_is_known_only_later_is_said_too(capsys):
    logs.configure("json")
    known: dict[str, object] = {}
    token = logs.MORE.set(lambda: known)
    known["tenant_id"] = "t"
    structlog.get_logger().info("job.created")
    logs.MORE.reset(token)
    assert lines(capsys) == [{"level": "info", "event": "job.created", "tenant_id": "t"}]


@pytest.mark.parametrize("name", ["uvicorn.error", "celery.worker", "sqlalchemy.pool", "kombu.connection"])
def test_what_libraries_log_is_written_as_ours_is(capsys, name):
    logs.configure("json")
    with structlog.contextvars.bound_contextvars(request_id="r"):
        logging.getLogger(name).error("%d connections lost", 3)
    assert lines(capsys) == [{"level": "error", "event": "3 connections lost", "logger": name, "request_id": "r"}]


def test_a_trace_that_a_library_logs_is_in_its_line(capsys):
    logs.configure("json")
    try:
        fail_over_a_row("a row")
    except ValueError:
        logging.getLogger("celery").exception("lost")
    (told,) = lines(capsys)
    assert told["exception"].startswith("Traceback") and told["exception"].endswith("ValueError: 5")


def test_warnings_are_lines_too(capsys):
    logs.configure("json")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("this will go away", FutureWarning, stacklevel=1)
    (told,) = lines(capsys)
    assert (told["logger"], told["level"]) == ("py.warnings", "warning")
    assert "FutureWarning: this will go away" in told["event"]


def test_below_warnings_only_our_own_events_and_the_server_are_heard(capsys):
    logs.configure("json", "debug")
    structlog.get_logger().debug("ours")
    logging.getLogger("uvicorn.error").info("started")
    logging.getLogger("httpx2").info("GET https://somebody.example/?token=secret")
    logging.getLogger("sqlalchemy.engine").info("SELECT 1")
    assert [each["event"] for each in lines(capsys)] == ["ours", "started"]


def test_less_is_logged_at_a_higher_level(capsys):
    logs.configure("json", "error")
    structlog.get_logger().info("request")
    logging.getLogger("celery").warning("waiting")
    structlog.get_logger().error("request.failed")
    assert [each["event"] for each in lines(capsys)] == ["request.failed"]


@pytest.mark.parametrize(
    ("said", "written"),
    [
        (f"no such key {KEY}", "no such key fastmtl_[cut]"),
        ("Authorization: Bearer abcdefgh12345", "Authorization: Bearer [cut]"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [cut]"),
        ("at postgresql+psycopg://ada:pa55@db:5432/x", "at postgresql+psycopg://ada:[cut]@db:5432/x"),
        ("at redis://:pa55word@redis:6379/0", "at redis://:[cut]@redis:6379/0"),
        ("at https://db:5432/x?user=me@there", "at https://db:5432/x?user=me@there"),
        ("the gauge fastmtl_requests_in_progress", "the gauge fastmtl_requests_in_progress"),
    ],
)
@pytest.mark.parametrize("log_format", ["console", "json"])
def test_keys_and_passwords_are_cut_out_however_they_came_there(capsys, log_format, said, written):
    logs.configure(log_format)
    structlog.get_logger().info("ours", error=said)
    logging.getLogger("celery").error("theirs: %s", said)
    told = capsys.readouterr().err
    assert told.count(written) == 2
    assert written == said or said not in told


def test_an_error_of_the_database_does_not_tell_what_was_to_be_written(sqlite_url):
    database = Database(sqlite_url)
    with pytest.raises(DBAPIError) as caught, database.reading() as session:
        session.execute(text("SELECT :row FROM nowhere"), {"row": "a user's row"})
    database.close()
    assert "no such table" in str(caught.value) and "a user's row" not in str(caught.value)


def test_a_message_carries_the_request_that_it_comes_from():
    with structlog.contextvars.bound_contextvars(request_id="r", step_id="s"):
        assert logs.carried() == {"request_id": "r"}
    assert logs.carried() == {}


def test_a_child_process_says_what_the_one_that_started_it_was_about(monkeypatch):
    with structlog.contextvars.bound_contextvars(step_id="s", job_ids=["a", "b"], folder=Path("x")):
        handed_on = logs.handed_on()
    for name, value in handed_on.items():
        monkeypatch.setenv(name, value)
    logs.take_over()
    assert structlog.contextvars.get_contextvars() == {"step_id": "s", "job_ids": ["a", "b"], "folder": "x"}


def test_a_process_that_nobody_handed_anything_says_nothing_more(monkeypatch):
    monkeypatch.delenv(logs.HANDED_ON, raising=False)
    logs.take_over()
    assert structlog.contextvars.get_contextvars() == {}

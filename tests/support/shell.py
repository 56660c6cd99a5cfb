"""The command as a shell runs it, in this process, against a service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from service import Api, served
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from app.cli import app


class Shell:
    """Runs `fastmtl` where the environment names a service and a key."""

    def __init__(self, hand: Api, url: str) -> None:
        self.hand, self.url = hand, url

    def __call__(self, *words: object) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words])

    def json(self, *words: object) -> Any:
        """Return what a command prints with --json; it has to end well."""
        result = self(*words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def refused(self, *words: object) -> tuple[int, str]:
        """Return what a command that is refused ends with, and the line that it says."""
        result = self(*words)
        assert result.stdout == "", result.stdout
        assert "Traceback" not in result.stderr
        return result.exit_code, result.stderr.strip()


@contextmanager
def shell_of(hand: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """Serve an application and point the command's environment to it."""
    # The service runs in this process: its log is not the command's output.
    with capture_logs(), served(hand.client.app) as url:  # type: ignore[arg-type]
        monkeypatch.setenv("FASTMTL_URL", url)
        monkeypatch.setenv("FASTMTL_API_KEY", hand.key)
        yield Shell(hand, url)

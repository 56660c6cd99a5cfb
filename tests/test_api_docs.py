"""docs/api.md, run from its first block to its last against a service with a worker; its webhook is received."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fenced import blocks, run_shell
from receiver import Receiver, receiving
from tiny import write_encoder

from app import errors
from app.embedded import EmbeddedStack
from fastmtl.config import PACKAGED_ENCODER

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "api.md").read_text()
pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("api-docs")]


@pytest.fixture(scope="module")
def hook() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def ran(hook: Receiver, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What the page's commands print, and the folder that they ran in."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "examples").symlink_to(ROOT / "examples")
    settings = {
        "FASTMTL_ENCODERS": json.dumps({PACKAGED_ENCODER: f"folder:{write_encoder('bert', folder / 'tiny')}"}),
        **{"FASTMTL_THREADS": "1", "FASTMTL_CALIBRATE": "false", "FASTMTL_POLL_SECONDS": "0.05"},
        **{"FASTMTL_WEBHOOK_ALLOW_HTTP": "true", "FASTMTL_WEBHOOK_ALLOW_PRIVATE": "true"},
        "FASTMTL_WEBHOOK_PORTS": f"[{hook.port}]",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        with EmbeddedStack(folder / "home", port=0) as running:
            place = {"FASTMTL_URL": running.url, "FASTMTL_API_KEY": running.key}
            told = run_shell(blocks(PAGE, "sh"), folder, {**place, "HOOK": f"http://127.0.0.1:{hook.port}/done"})
            running.check()
    return told, folder


def test_every_command_of_the_page_runs_and_the_job_ends_well(ran: tuple[str, Path]):
    told, folder = ran
    assert re.findall(r"^event: (job\..*)$", (folder / "events.txt").read_text(), re.MULTILINE)[-1] == "job.succeeded"
    assert "selection.parquet: OK" in told and "report.html: OK" in told
    assert {"config.json", "heads.safetensors"} <= {path.name for path in folder.rglob("*") if path.is_file()}
    assert '"name":"reviews"' in told


def test_the_problem_is_answered_as_it_is_printed(ran: tuple[str, Path]):
    assert json.loads(blocks(PAGE, "json")[0]) == json.loads(ran[0][ran[0].rindex('{"type"') :])


def test_the_receiver_of_the_page_believes_the_message_that_came(ran: tuple[str, Path], hook: Receiver):
    _, folder = ran
    found: dict[str, object] = {}
    exec(compile(blocks(PAGE, "python")[0], "docs/api.md", "exec"), found)
    path, headers, body = hook.requests[0]
    secret = (folder / "secret.txt").read_text().strip()
    told = found["received"](body, headers, secret)  # type: ignore[operator]
    assert (path, told.split()[0]) == ("/done", "job.succeeded")
    with pytest.raises(Exception, match="No matching signature"):
        found["received"](body + b" ", headers, secret)  # type: ignore[operator]


def test_every_status_that_is_told_of_is_one_of_the_services():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ApiError)]
    known = {kind.status for kind in kinds} | {status for _, status, *_ in errors.STATUS}
    told = re.findall(r"^\| ((?:\d{3}(?:, )?)+) \|", PAGE, re.MULTILINE)
    assert {int(each) for cell in told for each in cell.split(", ")} <= known

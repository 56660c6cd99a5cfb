"""A marked point breaks its process when that was ordered, once, and else does nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app import failpoints

PROGRAM = "from app.failpoints import reach; reach('a.point'); print('went on')"


def run(folder: Path, program: str = PROGRAM) -> tuple[int, str, str]:
    environment = {**os.environ, failpoints.VARIABLE: str(folder)}
    told = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    return told.returncode, told.stdout, told.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / failpoints.TAKEN).mkdir()
    return tmp_path


def test_without_a_folder_a_point_does_nothing():
    assert failpoints.FOLDER is None
    failpoints.reach("a.point")


def test_without_an_order_the_process_goes_on(folder):
    (folder / "another.point").write_text("kill")
    assert run(folder) == (0, "went on\n", "")


@pytest.mark.parametrize(("action", "by"), [("kill", signal.SIGKILL), ("segv", signal.SIGSEGV)])
def test_a_process_ends_itself_when_that_is_ordered(folder, action, by):
    (folder / "a.point").write_text(action)
    assert run(folder) == (-by, "", "")


@pytest.mark.parametrize(
    ("action", "told"),
    [("raise", "app.failpoints.Ordered: a.point"), ("oom", "MemoryError"), ("burn", "'burn' is not a valid Action")],
)
def test_an_exception_goes_up_from_the_point(folder, action, told):
    (folder / "a.point").write_text(action)
    code, out, error = run(folder)
    assert (code, out, error.strip().splitlines()[-1].removeprefix("ValueError: ")) == (1, "", told)


def test_out_of_memory_is_told_as_torch_tells_it(folder):
    (folder / "a.point").write_text("oom")
    code, _, error = run(folder, "import torch; " + PROGRAM)
    assert (code, "not enough memory" in error or "can't allocate memory" in error) == (1, True)


def test_an_order_is_obeyed_once_and_the_one_who_took_it_is_known(folder):
    (folder / "a.point").write_text("kill")
    assert [run(folder)[0], run(folder)[0]] == [-signal.SIGKILL, 0]
    (taken,) = (folder / failpoints.TAKEN).iterdir()
    assert taken.name.startswith("a.point~")

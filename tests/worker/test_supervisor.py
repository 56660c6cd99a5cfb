"""What a worker finds at its start."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

from app.settings import Settings
from worker.supervisor import remove_left_scratch, scratch_root


def test_a_worker_removes_what_workers_that_are_gone_have_left_on_its_host(tmp_path: Path):
    settings = Settings(home=tmp_path)
    gone = subprocess.Popen(["true"])
    gone.wait()
    names = {
        "gone": f"{socket.gethostname()}-{gone.pid}",
        "alive": f"{socket.gethostname()}-{os.getppid()}",
        "elsewhere": f"another-host-{gone.pid}",
        "same id as this one": scratch_root(settings).name,
    }
    for name in names.values():
        (tmp_path / "scratch" / name / "step-1").mkdir(parents=True)
    remove_left_scratch(settings)
    kept = {what for what, name in names.items() if (tmp_path / "scratch" / name).exists()}
    assert kept == {"alive", "elsewhere"}

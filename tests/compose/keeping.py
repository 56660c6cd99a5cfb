"""Back-up and restore as docs/operating.md tells them: its own lines are run, while a job runs."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from breaking import LONG_SECONDS, Trial, in_the_middle, succeeded
from composed import ROOT

PAGE = ROOT / "docs" / "operating.md"


def lines(name: str) -> str:
    """Return the lines that stand on the page under a mark."""
    found = re.search(rf"<!-- run: {name} -->\n\n```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None, f"no lines are marked {name!r} in {PAGE}"
    return found[1]


def kept(trial: Trial) -> str:
    """Copy all while a job runs, remove everything, restore it and go on; return what was seen, in words."""
    compose, one, over = trial.compose, trial.one, trial.job
    before = one.results(over)
    with tempfile.TemporaryDirectory() as place:
        shutil.copytree(Path(compose.environment["TEST_FOLDER"]) / "secrets", Path(place) / "secrets")
        running = one.submit("running while it is copied", {**trial.config(LONG_SECONDS), "seed": 1})
        one.until(running, lambda state: in_the_middle(state, "finetune"))
        compose.shell(lines("back-up"), place)
        sizes = {path.name: path.stat().st_size for path in (Path(place) / "backup").iterdir() if path.is_file()}
        compose.run("--profile", "observe", "down", "--volumes", "--remove-orphans")
        shutil.rmtree(Path(place) / "secrets")
        compose.shell(lines("restore"), place)
        assert sorted(os.listdir(Path(place) / "secrets")) == sorted(os.listdir(Path(place) / "backup" / "secrets"))
        after = one.results(over)
        assert after == before, "the files of a finished job are others than before"
        one.client.download(over, "subset.parquet", Path(place) / "subset.parquet")
        one.until(running, succeeded)
    return (
        f"with a job running, {sizes['database']:,} bytes of database and {sizes['storage.tar']:,} of storage were "
        f"copied; restored into an empty stack, the same key opens it, a finished job's {len(after)} files are the "
        "same and can be downloaded, and the job that ran was computed to its end"
    )

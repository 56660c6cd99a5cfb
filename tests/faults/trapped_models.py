"""Model folders that carry pickles, modules and an auto_map which names them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from accounts import Account, Place, Scale, exactly, told
from scene import RANDOM, SMALL, running
from traps import MODULES, PICKLES, set_traps, trapped, without_safetensors

CONFIGS = (SMALL, {**SMALL, "method": "lm_loss"}, {**SMALL, "method": "embedding"}, RANDOM)
"""Between them they load the encoder in every way: to train, to score, with its head, frozen."""
START_SECONDS = 60


def trapped_models(place: Place, scale: Scale) -> Account:
    """Run jobs on such a folder, and name the operator others that nothing can be loaded from without running code."""
    mark = place.folder / "it-was-run"
    folder = trapped(place.folder / "trapped", mark)
    configs = CONFIGS[: scale.of(len(CONFIGS))]
    with running(place, scale, FASTMTL_ENCODERS=json.dumps({"tiny": f"folder:{folder}"})) as scene:
        world = scene.tenant("trapped")
        scene.processes.start_workers(1)
        ended = world.client.over([world.submit(config) for config in configs], 1800)
    pickled = without_safetensors(trapped(place.folder / "pickled" / "encoder", mark))
    strange = trapped(place.folder / "strange", mark)
    set_traps(strange, mark, model_type="trap", architectures=["Trap"])
    pickled_starts = _starts(place, pickled)
    strange_job = _one_job(place, scale, strange)
    run = mark.exists() or (pickled.parent / "it-was-run").exists()
    succeeded = sum(each["status"] == "succeeded" for each in ended.values())
    done = (
        f"An encoder's folder with {len(PICKLES)} pickles and {len(MODULES)} modules beside its weights, each of which "
        "leaves a mark when it runs and all of which its configuration names, was used by jobs of several methods; so "
        "were one of an architecture that only its own code knows, and one with pickled weights alone."
    )
    figures = [
        exactly("times that any of it was run", int(run), 0),
        exactly("jobs that did not succeed on what is safe in it", len(configs) - succeeded, 0),
        exactly("services that start with pickled weights alone", int(pickled_starts), 0),
        exactly("jobs that succeed with an architecture that is not known", int(strange_job == "succeeded"), 0),
        told("jobs", len(configs) + 1),
    ]
    return Account(done, figures, [f"{job['status']}: {job.get('error')}" for job in ended.values()])


def _starts(place: Place, folder: Path) -> bool:
    """Return whether a service starts that is told to offer the encoder of that folder."""
    environment = {**os.environ, **place.environment, "FASTMTL_HOME": str(place.folder / "other")}
    environment["FASTMTL_ENCODERS"] = json.dumps({"tiny": f"folder:{folder}"})
    command = [sys.executable, "-m", "app.cli", "serve"]
    try:
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=START_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    assert "safetensors" in run.stderr + run.stdout, run.stderr
    return False


def _one_job(place: Place, scale: Scale, folder: Path) -> str:
    """Return how a job ends that uses the encoder of that folder; `refused` where it cannot be posted."""
    home = {"FASTMTL_HOME": str(place.folder / "strange-home")}
    elsewhere = Place(place.stack, {**place.environment, **home}, place.folder / "strange-place")
    elsewhere.folder.mkdir()
    with running(elsewhere, scale, FASTMTL_ENCODERS=json.dumps({"tiny": f"folder:{folder}"})) as scene:
        world = scene.tenant("strange")
        scene.processes.start_workers(1)
        (ended,) = world.client.over([world.submit(RANDOM)], 300).values()
    return str(ended["status"])

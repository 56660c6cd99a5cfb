"""The process that computes one step: `python -m worker.child FOLDER PARENT`.

Reads FOLDER/request.json, writes FOLDER/output/ and FOLDER/result.json, tells its progress, what it measures, warnings
and its error as lines of JSON on standard output. It knows no database and no broker, it ends with its worker, and all
memory that a step took, the GPU's too, is given back when it ends. What it has done so far it keeps in checkpoints,
which the next attempt reads.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TextIO

import structlog

from app import logs
from app.failpoints import reach
from app.settings import Settings
from fastmtl import pipeline
from fastmtl.errors import FastMTLError, InvalidConfig, is_out_of_memory
from fastmtl.plan import Json, StepSpec, Workspace, silent
from worker import peers
from worker.measuring import MEASURED, measured
from worker.progress import Reporter
from worker.protocol import OUTPUT, REQUEST, RESULT, STEP, Message, Request

log = structlog.get_logger()

PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15  # linux/prctl.h


def main() -> int:
    """Compute the step; return 0, or 1 after an error line."""
    folder, parent = Path(sys.argv[1]), int(sys.argv[2])
    end_with(parent)
    return _help(folder, rank=int(sys.argv[3])) if len(sys.argv) > 3 else compute(folder)


def compute(folder: Path) -> int:
    """Compute the step whose request lies in a folder; return 0, or 1 after an error line."""
    _prctl(PR_SET_NAME, STEP.encode())
    request = _request(folder)
    channel, one_at_a_time = _own_standard_output(), threading.Lock()
    settings = Settings()
    logs.configure(settings.log_format, settings.log_level)
    logs.take_over()

    def tell(message: Message) -> None:
        with one_at_a_time:  # a download tells from several threads
            channel.write(message.model_dump_json() + "\n")
            channel.flush()
        if message.progress and 2 * message.progress["done"] >= message.progress["total"]:
            reach("child.half-way")

    try:
        result = _run(request, folder, Reporter(tell), lambda why: _give_up(tell, why))
    except Exception as error:
        log.exception("step.failed")
        tell(describe(error))
        return 1
    reach("child.computed")
    (folder / RESULT).write_text(json.dumps(result))
    return 0


def describe(error: Exception) -> Message:
    """Turn an exception into what a user can act on."""
    if isinstance(error, FastMTLError):
        told: Json = {"type": _slug(type(error).__name__), "message": str(error)}
        if isinstance(error, InvalidConfig):
            told["field"] = error.field
        return Message(error=told)
    if is_out_of_memory(error):
        message = "the device ran out of memory: make batch_size or config.encoder.max_length smaller"
        return Message(error={"type": "out-of-memory", "message": message})
    if isinstance(error, OSError) and error.errno == 28:
        return Message(error={"type": "disk-full", "message": "the worker's disk is full"}, again=True)
    message = f"the step failed unexpectedly ({type(error).__name__}); the worker's log has the details"
    return Message(error={"type": "internal", "message": message}, again=True)


def _request(folder: Path) -> Request:
    return Request.model_validate_json((folder / REQUEST).read_text())


def _help(folder: Path, rank: int) -> int:
    """Take part in the training of another process, the parent: what is left behind nobody reads."""
    request, settings = _request(folder), Settings()
    logs.configure(settings.log_format, settings.log_level)
    spec, output = StepSpec.from_json(request.spec), peers.of_rank(folder, rank) / OUTPUT
    output.mkdir()
    try:
        device = _prepare_torch(request, folder, rank)
        keeping = peers.keeping_of(request, folder, rank)
        pipeline.run(spec, Workspace(request.datasets, request.inputs, output, device, silent, keeping))
    except Exception as error:
        log.exception("peer.failed", rank=rank)
        peers.leave_word(folder, rank, describe(error))
        return 1
    return 0


def _give_up(tell: Callable[[Message], None], why: Message) -> None:
    """End at once: another process of the training has."""
    tell(why)
    os._exit(1)


def _run(request: Request, folder: Path, progress: Reporter, lost: Callable[[Message], None]) -> Json:
    spec = StepSpec.from_json(request.spec)
    output = folder / OUTPUT
    output.mkdir()
    with loading():
        if pipeline.trains(spec) and "," in request.device:
            peers.start(folder, request.device.count(",") + 1, lost)
            device = _prepare_torch(request, folder, 0)
        else:
            device = _prepare_torch(request) if pipeline.needs_torch(spec) else "cpu"
        import_module(f"fastmtl.steps.{spec.kind}")  # which pipeline.run then finds loaded
    reach("child.started")
    workspace = Workspace(request.datasets, request.inputs, output, device, progress, request.keeping, request.tokens)
    result = pipeline.run(spec, workspace)
    return {**result, MEASURED: measured(spec, result, output, device)}


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Look for no garbage while code is loaded, nor later in what is then there: it stays.

    The search was measured to be a sixth of the time that loading takes.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _prepare_torch(request: Request, folder: Path | None = None, rank: int = 0) -> str:
    """Set the threads and choose the device; with a folder, the rank's, after it has met the others there."""
    import torch  # here: steps without it start in half a second instead of four
    from transformers.utils import logging

    from fastmtl.device import choose_device, devices
    from fastmtl.ranks import Ranks

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if request.threads:
        torch.set_num_threads(request.threads)
    if folder is None:
        return choose_device(request.device)
    named = devices(request.device)
    device = choose_device(named[rank])
    Ranks.join(rank, len(named), device, folder / peers.MEETING)
    return device


def end_with(parent: int) -> None:
    """Ask the kernel to kill this process when its parent ends, however it ends."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before we asked
        sys.exit(1)


def _prctl(option: int, value: int | bytes) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value)


def _own_standard_output() -> TextIO:
    """Keep standard output for our lines; what libraries print goes to standard error."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return channel


def _slug(name: str) -> str:
    """`NotEnoughMemory` -> `not-enough-memory`."""
    return "".join(f"-{char.lower()}" if char.isupper() else char for char in name).lstrip("-")


if __name__ == "__main__":
    sys.exit(main())

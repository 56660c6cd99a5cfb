"""A process that has loaded what steps need, and forks one for each: worker.launcher starts it.

It ends with its worker, or after some seconds without a step. It loads and forks, no more: any torch operation
before a fork was measured to hang every child, and a GPU whose driver was touched before a fork cannot be used behind
it; where loading does touch it, the fork loads all anew.

What is said, in packets over a pair of sockets: the worker sends {folder, environment} with the end of a pipe for the
step's lines; the answers are {pid} and, once the step has ended, {status}. One step runs at a time.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import traceback
import warnings
from importlib import import_module
from pathlib import Path

from worker import child

LOADED = (
    *("torch", "transformers", "transformers.utils.logging", "scipy.stats", "sklearn.metrics"),
    *(f"fastmtl.steps.{name}" for name in ("discriminator", "score", "select", "target", "finetune", "report")),
    *(f"fastmtl.steps.{name}" for name in ("leakage", "rank", "tokens")),
)
"""What nearly every job's steps load; anything else a step loads itself."""
DRIVERS = ("libcuda.so", "libhsa-runtime64.so", "libamdhip64.so")
"""Of GPUs: NVIDIA's is mapped once it was touched; torch for AMD's links them, so there all is always loaded anew."""
CHECK = "PYTORCH_NVML_BASED_CUDA_CHECK"
"""Whether torch asks for GPUs without touching their driver, and so with less certainty."""
PACKET = 2**16


def main() -> int:
    """Fork until there is no worker, or nothing to do."""
    connection, seconds, parent = socket.socket(fileno=int(sys.argv[1])), float(sys.argv[2]), int(sys.argv[3])
    child.end_with(parent)
    said = os.environ.get(CHECK)
    os.environ[CHECK] = "1"
    with child.loading():
        for name in LOADED:
            with contextlib.suppress(Exception):  # the step that needs it fails on it, and says so
                import_module(name)
    del os.environ[CHECK]
    if said is not None:
        os.environ[CHECK] = said
    return _serve(connection, seconds)


def _serve(connection: socket.socket, seconds: float) -> int:
    connection.settimeout(seconds)
    while True:
        try:
            packet, descriptors, _, _ = socket.recv_fds(connection, PACKET, 1)
        except TimeoutError:
            # From here on the worker cannot send; what it has sent until now is still done.
            connection.shutdown(socket.SHUT_RD)
            connection.settimeout(0)
            packet, descriptors, _, _ = socket.recv_fds(connection, PACKET, 1)
        if not packet:
            return 0
        asked, lines = json.loads(packet), descriptors[0]
        template = os.getpid()
        try:
            pid = _fork()
        except OSError:  # no memory, or too many processes: the step is tried again
            traceback.print_exc()
            os.close(lines)
            _say(connection, status=1)
            continue
        if pid == 0:
            connection.close()
            code = 1
            try:
                code = _step(asked["folder"], asked["environment"], lines, template)
            except Exception:
                traceback.print_exc()
            finally:
                os._exit(code)  # what was loaded is not taken apart piece by piece
        os.close(lines)
        _say(connection, pid=pid)
        _, status = os.waitpid(pid, 0)
        _say(connection, status=os.waitstatus_to_exitcode(status))


def _fork() -> int:
    sys.stdout.flush()  # else every fork would have what is left to write
    sys.stderr.flush()
    with warnings.catch_warnings():
        # Python sees threads: they are OpenBLAS's, which sees to forks itself.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _step(folder: str, environment: dict[str, str], lines: int, template: int) -> int:
    """Compute a step in this process, which was just forked."""
    os.setsid()
    os.dup2(lines, 1)
    os.close(lines)
    os.environ.update(environment)
    if _touched_a_gpu():
        os.execv(sys.executable, [sys.executable, "-m", "worker.child", folder, str(template)])
    child.end_with(template)
    try:
        return child.compute(Path(folder))
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()


def _say(connection: socket.socket, **told: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # the worker is gone, and this process with it
        connection.send(json.dumps(told).encode())


def _touched_a_gpu() -> bool:
    """Whether a GPU's driver is loaded, so that a fork cannot use it."""
    maps = Path("/proc/self/maps").read_text()
    return any(name in maps for name in DRIVERS)


if __name__ == "__main__":
    sys.exit(main())

"""Run docker-compose.yml and break it: `python tests/compose/run.py`, which `make test-compose` calls.

Builds the images, brings the stack up with the CPU override, runs the tests of the whole path against it, kills and
restarts its parts while jobs run, takes a back-up and restores it, asks Prometheus what the dashboard asks, writes what
was found into docs/operating.md and removes all that it made.

Where no container engine runs, root can start one (dockerd); where no image can be pulled, bases are made of Debian's
packages (debootstrap). With `--only NAME` a part is run, and the rows of the others stay as they are; `--keep` leaves
everything there for the next run with the same `--folder`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(ROOT), *(str(ROOT / "tests" / name) for name in ("support", "faults", "compose"))]

import bases  # noqa: E402
import breaking  # noqa: E402
import keeping  # noqa: E402
import looking  # noqa: E402
import page  # noqa: E402
from composed import COMPOSED, FILES, Compose  # noqa: E402
from engine import Engine  # noqa: E402
from tiny import write_encoder  # noqa: E402

SECRETS = ("postgres_password", "redis_password", "fastmtl_secret", "grafana_password")


@dataclass(frozen=True)
class Part:
    """Something to try; it returns what was seen and raises where that is wrong."""

    name: str
    told: str
    run: Callable[[], str]


class Stack:
    """The containers, and the folder in which all that this run makes is kept."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.folder, self.engine = folder, engine
        self.images = {"PYTHON_IMAGE": "python:3.11-slim-bookworm"}
        port = self._port("api-port")
        environment = {
            **{
                name: engine.environment[name]
                for name in ("DOCKER_HOST", "DOCKER_CONFIG")
                if name in engine.environment
            },
            "COMPOSE_FILE": ":".join(str(ROOT / name) for name in FILES),
            "COMPOSE_PROJECT_NAME": "fastmtl-test",
            "TEST_FOLDER": str(folder),
            "API_PORT": str(port),
        }
        self.compose = Compose(f"http://127.0.0.1:{port}", environment, str(folder / "encoders"))

    def _port(self, name: str) -> int:
        """Return a port that was free when first asked for: with another one builds and containers would be new."""
        kept = self.folder / name
        if not kept.exists():
            kept.write_text(str(_free_port()))
        return int(kept.read_text())

    def prepare(self) -> None:
        """Write the encoder and the secrets, and make bases where none can be pulled."""
        if not (self.folder / "encoders" / "tiny").exists():
            write_encoder("bert", self.folder / "encoders" / "tiny")
        (self.folder / "secrets").mkdir(exist_ok=True)
        for path in [self.folder / "secrets" / name for name in SECRETS]:
            if not path.exists():
                path.write_text(os.urandom(32).hex())
        for path in (self.folder, *(self.folder / "encoders").rglob("*")):
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
        if self.engine.own:
            self.images = bases.make(self.engine)
            self.compose.environment.update(self.images)

    def build(self) -> str:
        """Build the images."""
        with _served(os.environ.get("PIP_FIND_LINKS"), self._port("wheels-port")) as served:
            extra = {"PIP_FIND_LINKS": served, "PIP_EXTRA_INDEX_URL": f"{served}none"} if served else {}
            self.compose.run("build", extra=extra)
        return "the API's and the worker's"

    def up(self) -> str:
        """Start it and wait until all are healthy."""
        began = time.monotonic()
        self.compose.run("up", "--detach", "--wait")
        return (
            f"`docker compose up --wait` came back after {time.monotonic() - began:.0f} s with every container healthy"
        )

    def down(self) -> None:
        """Stop it and remove its volumes."""
        self.compose.run("--profile", "observe", "down", "--volumes", "--remove-orphans")


def main(arguments: list[str]) -> int:
    """Run what is asked for; return 0 where all went well."""
    parser = argparse.ArgumentParser(prog="tests/compose/run.py", description="Run docker-compose.yml and break it.")
    parser.add_argument("--folder", type=Path, help="where everything is made; default: a temporary one")
    parser.add_argument("--own-engine", action="store_true", help="start an engine even where one runs")
    parser.add_argument("--keep", action="store_true", help="leave containers, images and the engine there")
    parser.add_argument("--only", action="append", help="run one part, again for each")
    parser.add_argument("--whole-path", metavar="EXPRESSION", help="of the whole path's tests only these, as pytest -k")
    asked = parser.parse_args(arguments)
    folder = (asked.folder or Path(tempfile.mkdtemp(prefix="fastmtl-compose-"))).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    engine = Engine(folder / "engine", own=asked.own_engine)
    with ExitStack() as ends:
        if not asked.keep:
            ends.callback(shutil.rmtree, folder, ignore_errors=True)
            ends.callback(engine.stop)
        engine.start()
        stack = Stack(folder, engine)
        stack.prepare()
        if not asked.keep:
            ends.callback(stack.down)
        return int(not _try_all(list(parts(stack, asked.whole_path)), asked.only))


def _try_all(all_parts: list[Part], only: list[str] | None) -> bool:
    """Try one part after another; return whether all went well. Without containers the rest is not tried."""
    went = {}
    for part in [part for part in all_parts if not only or part.name in only]:
        went[part.name] = _tried(part, [each.name for each in all_parts])
        if not went[part.name] and part.name in ("build", "up"):
            break
    return all(went.values())


def parts(stack: Stack, whole_path: str | None = None) -> Iterator[Part]:
    """Yield all there is to try, in order."""
    compose, trial = stack.compose, breaking.Trial(stack.compose, stack.folder / "world")
    yield Part("build", "images are built", stack.build)
    yield Part("sizes", "what the images take", partial(looking.sizes, stack.engine, stack.images))
    yield Part("up", "everything starts in order and is healthy", stack.up)
    yield Part("confined", "containers are confined", partial(looking.confined, compose))
    yield Part("kill", "kill -9 during a job", partial(breaking.killed, trial))
    yield Part("roll", "every container restarted while jobs run", partial(breaking.rolled, trial))
    yield Part("share", "a worker for steps without a GPU", partial(breaking.shared_out, trial))
    yield Part("observe", "Prometheus and the dashboard's queries", partial(looking.watched, compose))
    yield Part("keep", "back-up and restore", partial(keeping.kept, trial))
    yield Part("whole-path", "the tests of the whole path", partial(_whole_path, stack, whole_path))


def _tried(part: Part, order: list[str]) -> bool:
    """Try a part, and write down what was seen; return whether it went well."""
    began = time.monotonic()
    print(f"{part.name} ...", flush=True)  # noqa: T201
    try:
        told, passed = part.run(), True
    except Exception as error:  # whatever it is, the other parts are still to be tried
        told, passed = f"{type(error).__name__}: {error}\n{getattr(error, 'stderr', '') or ''}", False
    seconds = time.monotonic() - began
    print(f"{part.name}: {'passed' if passed else 'FAILED'} in {seconds:.0f} s: {told}", flush=True)  # noqa: T201
    page.record(part.name, page.outcome(part.told, passed, seconds, told, datetime.now(UTC).date().isoformat()), order)
    return passed


def _whole_path(stack: Stack, which: str | None) -> str:
    description = stack.folder / "compose.json"
    stack.compose.save(description)
    options = ["-n", "0", "-q", "-p", "no:cacheprovider", "tests/test_whole_path.py"]
    chosen = ["-k", which] if which else []
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *chosen],
        env={**os.environ, COMPOSED: str(description)},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
    return (
        f"`pytest {' '.join(['tests/test_whole_path.py', *chosen])}` against the containers: "
        f"{ran.stdout.strip().splitlines()[-1].strip('= ')}"
    )


@contextmanager
def _served(folder: str | None, port: int) -> Iterator[str | None]:
    """Serve a folder of wheels to the builds, which see this machine's network but not its files."""
    if not folder or not Path(folder).is_dir():
        yield None
        return
    server = ThreadingHTTPServer(("127.0.0.1", port), partial(_Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

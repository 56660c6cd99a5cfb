"""A container engine of this run's own, for a machine where none runs; all that it makes lies in one folder.

It has no bridge and no rules for the firewall: networks of a compose file work, connections from them to elsewhere do
not. So images are built on the host's network.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

START_SECONDS = 60
STOP_SECONDS = 60
PLUGINS = ("docker-compose", "docker-buildx")
NEWER_SUITE = "trixie"
"""The first of Debian whose packages have them; they are single programs and run on older ones."""


class NoEngine(Exception):
    """What is missing on this machine to run containers."""


class Engine:
    """`docker`, with Compose and buildx: the one that runs on this machine, or else one that is started here."""

    def __init__(self, folder: Path, *, own: bool) -> None:
        """Use a folder for all that is kept; `own` starts an engine even where one runs."""
        self.folder = folder
        self.environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
        self._own = own or not _answers(self.environment)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def own(self) -> bool:
        """Whether it is started here, so that no image can be pulled into it."""
        return self._own

    def start(self) -> None:
        """Start it where it does not run, and see to its plugins. Raises NoEngine."""
        if self._own:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.environment["DOCKER_HOST"] = f"unix://{self.folder / 'docker.sock'}"
            if not _answers(self.environment):
                self._start()
        self._add_plugins()

    def docker(self, *arguments: str, standard_input: bytes | None = None) -> str:
        """Run `docker` and return what it prints. Raises CalledProcessError."""
        command = ["docker", *arguments]
        ran = subprocess.run(command, env=self.environment, input=standard_input, stdout=subprocess.PIPE, check=True)
        return ran.stdout.decode().strip()

    def stop(self) -> None:
        """Stop it, if it was started here, and remove all that it kept."""
        if not self._own:
            return
        pid = _pid(self.folder)
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            give_up = time.monotonic() + STOP_SECONDS
            while _alive(pid, self._process) and time.monotonic() < give_up:
                time.sleep(0.2)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        program = shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        if program is None or os.geteuid() != 0:
            raise NoEngine("no container engine answers, and one is started by root alone, where dockerd is installed")
        places = [f"--{name}={self.folder / part}" for name, part in (("data-root", "data"), ("exec-root", "exec"))]
        places += [f"--host=unix://{self.folder / 'docker.sock'}", f"--pidfile={self.folder / 'pid'}"]
        alone = ["--bridge=none", "--iptables=false", "--ip6tables=false"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, *places, *alone],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        give_up = time.monotonic() + START_SECONDS
        while not _answers(self.environment):
            if self._process.poll() is not None or time.monotonic() > give_up:
                raise NoEngine(f"dockerd does not start:\n{(self.folder / 'log').read_text()[-3000:]}")
            time.sleep(0.5)

    def _add_plugins(self) -> None:
        """Take Compose and buildx from a newer Debian's packages where this machine has none."""
        if all(self._has(name.removeprefix("docker-")) for name in PLUGINS):
            return
        if shutil.which("apt-get") is None:
            raise NoEngine("docker has no Compose of version 2 or no buildx here: install them")
        config = self.folder / "config"
        plugins = config / "cli-plugins"
        plugins.mkdir(parents=True, exist_ok=True)
        self.environment["DOCKER_CONFIG"] = str(config)
        if not all((plugins / name).exists() for name in PLUGINS):
            _unpack_packages(self.folder / "packages", plugins)

    def _has(self, plugin: str) -> bool:
        return subprocess.run(["docker", plugin, "version"], env=self.environment, capture_output=True).returncode == 0


def mirror() -> str:
    """Return the address that this machine takes its Debian packages from."""
    told = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    if not told:
        raise NoEngine("apt-get knows of no packages yet: run `apt-get update`")
    return told[0]


def _unpack_packages(folder: Path, plugins: Path) -> None:
    """Fetch the plugins' packages without installing them, and put their programs where docker looks."""
    (folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (folder / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    (folder / "sources.list").write_text(f"deb {mirror()} {NEWER_SUITE} main\n")
    places = {
        **{"Dir::Etc::sourcelist": folder / "sources.list", "Dir::Etc::sourceparts": "-"},
        **{"Dir::State::lists": folder / "lists", "Dir::Cache": folder / "cache"},
    }
    options = [word for name, value in places.items() for word in ("-o", f"{name}={value}")]
    subprocess.run(["apt-get", "-qq", *options, "update"], check=True)
    subprocess.run(
        ["apt-get", "-qq", *options, "-o", "APT::Sandbox::User=root", "download", *PLUGINS], check=True, cwd=folder
    )
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(package), str(folder / "unpacked")], check=True)
    for name in PLUGINS:
        found = [path for path in (folder / "unpacked").rglob(name) if path.is_file() and os.access(path, os.X_OK)]
        shutil.copy(found[0], plugins / name)


def _answers(environment: dict[str, str]) -> bool:
    try:
        return subprocess.run(["docker", "info"], env=environment, capture_output=True, timeout=20).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False


def _pid(folder: Path) -> int | None:
    try:
        return int((folder / "pid").read_text())
    except (FileNotFoundError, ValueError):
        return None


def _alive(pid: int, process: subprocess.Popen[bytes] | None) -> bool:
    if process is not None:
        return process.poll() is None
    return Path(f"/proc/{pid}").exists()

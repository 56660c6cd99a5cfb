"""`fastmtl doctor`: what this machine and its service have, what is missing, and what to do about it.

It answers for the machine that it runs on, with that machine's settings, and changes nothing. Torch is imported only
where the device is asked about, in a process of its own: one that hangs or crashes is a finding, not the end.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict

from rich.text import Text

from app import looks
from app.exits import Exit
from app.looks import DEVICE_SECONDS, PATIENCE_SECONDS, Bad, Finding
from app.probe import Probe
from app.remote import settings_of_environment
from app.terminal import Terminal, run

TRAIN = ("torch", "transformers", "safetensors", "sklearn", "scipy")
COLOURS = {"ok": "green", "note": "yellow", "bad": "red"}


def doctor(url: str | None, *, device: bool, as_json: bool) -> int:
    """Look at everything and show a line each; the exit status is 1 where something needed is broken."""
    terminal = Terminal(as_json=as_json)

    def command() -> Exit | None:
        findings = []
        for finding in examine(url, device=device):
            findings.append(finding)
            if not as_json:
                _show(terminal, finding)
        broken = [each.name for each in findings if each.state == "bad"]
        told = f"to be mended: {', '.join(broken)}" if broken else "nothing that is needed is broken"
        terminal.result({"ok": not broken, "findings": [asdict(each) for each in findings]}, told)
        return Exit.FAILED if broken else None

    return run(terminal, command)


def examine(url: str | None, *, device: bool) -> Iterator[Finding]:
    """Look at one thing after another."""
    yield from _installed()
    try:
        settings = settings_of_environment()
    except ValueError as error:
        yield Finding("settings", "bad", str(error), "correct that variable; the README lists them all")
        return
    yield Finding("settings", "ok", f"home {settings.home.absolute()}")
    for name, look in looks.ALL.items():
        yield _looked(name, lambda look=look: look(settings))  # type: ignore[misc]
    if device:
        yield _looked("device", lambda: looks.device(settings), DEVICE_SECONDS + PATIENCE_SECONDS)
    yield _looked("api", lambda: looks.api(url, settings), 4 * PATIENCE_SECONDS)


def _looked(name: str, look: Callable[[], Finding], seconds: float = 2 * PATIENCE_SECONDS) -> Finding:
    """Look, for so long; what is raised becomes a finding."""
    try:
        return Probe(look, f"look-at-{name}").ask(seconds)
    except TimeoutError:
        fix = "is it running, and does nothing on the way hold the connection?"
        return Finding(name, "bad", f"no answer within {seconds:g} s", fix)
    except Bad as bad:
        return Finding(name, "bad", bad.found, bad.fix)


def _installed() -> Iterator[Finding]:
    """Say what is installed, without importing it."""
    found = {name: version for name in ("fastmtl", "torch", "transformers") if (version := _version(name))}
    told = [f"Python {platform.python_version()}", *(f"{name} {version}" for name, version in found.items())]
    yield Finding("versions", "ok", f"{', '.join(told)}, {platform.system()} {platform.machine()}")
    if missing := [name for name in TRAIN if importlib.util.find_spec(name) is None]:
        fix = "pip install 'fastmtl[train]', if a worker or `fastmtl select` is to run here"
        yield Finding("packages", "note", f"without {', '.join(missing)} nothing can be trained on this machine", fix)
    else:
        yield Finding("packages", "ok", "what a worker needs is installed")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _show(terminal: Terminal, finding: Finding) -> None:
    line = Text.assemble((f"{finding.state:<6}", COLOURS[finding.state]), f"{finding.name:<10}{finding.found}")
    terminal.out.print(line.append(f": {finding.fix}") if finding.fix else line)

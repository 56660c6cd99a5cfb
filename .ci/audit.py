"""Look for known vulnerabilities in what is installed: `python .ci/audit.py PIP_AUDIT WAIVERS`, run by `make audit`.

pip-audit says "No known vulnerabilities found", and exits with 0, where it could look up nothing, because there is no
network or an index without advisories. Here a package that was not looked up is not clean: it counts as a finding.

WAIVERS holds the findings that are known and accepted, one a line: an advisory's id, or the name of a package that
cannot be looked up (a local build, for example), then the date, then the reason.

Exits with 0 where nothing else was found, 1 for findings, 2 where nothing is known.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import NamedTuple

# The project itself is installed as an editable package: no index has it.
OPTIONS = ("--local", "--skip-editable", "--format", "json", "--progress-spinner", "off", "--desc", "off")
EDITABLE = "distribution marked as editable"


class Finding(NamedTuple):
    """What speaks against a package."""

    package: str
    ids: tuple[str, ...]
    """Any of them waives it."""
    told: str


def main(program: str, waivers: Path) -> int:
    """Audit, tell what was found, and return the status to exit with."""
    try:
        waived = dict(_waivers(waivers.read_text()))
    except ValueError as error:
        return _end(2, f"{waivers}: {error}")
    ran = subprocess.run([program, *OPTIONS], capture_output=True, text=True)
    try:
        packages = [each for each in json.loads(ran.stdout)["dependencies"] if each.get("skip_reason") != EDITABLE]
    except (ValueError, KeyError):
        _end(2, ran.stderr.strip()[-2000:])
        return _end(2, "The advisories could not be fetched, so nothing is known of what is installed.")
    looked_up = sum("skip_reason" not in each for each in packages)
    if not looked_up:
        told = f"None of {len(packages)} packages could be looked up, so nothing is known of them."
        return _end(2, f"{told} Is https://pypi.org within reach?")
    found = [finding for each in packages for finding in _findings(each)]
    open_ = [each for each in found if not waived.keys() & set(each.ids)]
    for each in open_:
        _end(1, f"{each.package}: {each.told}")
    for name in sorted(waived.keys() - {each for finding in found for each in finding.ids}):
        _end(0, f"{waivers}: {name} is not found any more; its line can go")
    return _end(bool(open_), f"{looked_up} packages looked up: {len(open_)} findings, {len(found) - len(open_)} waived")


def _waivers(text: str) -> Iterator[tuple[str, str]]:
    """Yield what is waived and why. Raises ValueError for a line without a date or a reason."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.strip().partition(" ")
        day, _, reason = rest.strip().partition(" ")
        try:
            date.fromisoformat(day)
        except ValueError as error:
            raise ValueError(f"line {number}: write an id, the date as 2026-01-31, and the reason") from error
        if not reason.strip():
            raise ValueError(f"line {number}: {name} has no reason")
        yield name, reason


def _findings(package: dict[str, object]) -> Iterator[Finding]:
    name = str(package["name"])
    if "skip_reason" in package:
        yield Finding(name, (name,), f"not looked up: {package['skip_reason']}")
    vulnerabilities = package.get("vulns", [])
    assert isinstance(vulnerabilities, list)
    for each in vulnerabilities:
        mended = ", ".join(each["fix_versions"]) or "no version yet"
        yield Finding(
            name, (each["id"], *each.get("aliases", ())), f"{each['id']} in {package['version']}, mended in {mended}"
        )


def _end(status: int, told: str) -> int:
    """Tell something, on standard error where it is not well, and return the status."""
    (sys.stderr if status else sys.stdout).write(told + "\n")
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))

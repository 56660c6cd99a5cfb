"""`make audit` fails for what is not waived, and where nothing could be looked up: silence is not cleanness."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent.parent / ".ci" / "audit.py"
OURS = {"name": "fastmtl", "skip_reason": "distribution marked as editable"}
CLEAN = {"name": "celery", "version": "5.7.0", "vulns": []}
FLAW = {"id": "PYSEC-2026-1", "fix_versions": ["2.0"], "aliases": ["CVE-2026-1"]}
BAD = {"name": "limits", "version": "1.0", "vulns": [FLAW]}
UNKNOWN = {"name": "torch", "skip_reason": "Dependency not found on PyPI and could not be audited: torch (2.13.0+cpu)"}


def audit(folder: Path, said: str, waivers: str = "", status: int = 0) -> tuple[int, str]:
    """Run it over what pip-audit is made to say."""
    fake = folder / "pip-audit"
    fake.write_text(f"#!{sys.executable}\nimport sys\nprint({said!r})\nprint('no route to host', file=sys.stderr)\n")
    fake.write_text(f"{fake.read_text()}sys.exit({status})\n")
    fake.chmod(0o755)
    (folder / "waivers.txt").write_text(waivers)
    command = [sys.executable, str(PROGRAM), str(fake), str(folder / "waivers.txt")]
    ran = subprocess.run(command, capture_output=True, text=True)
    return ran.returncode, ran.stdout + ran.stderr


def packages(*each: dict) -> str:
    return json.dumps({"dependencies": each, "fixes": []})


@pytest.mark.parametrize(
    ("found", "waivers", "status", "told"),
    [
        ([CLEAN], "", 0, "1 packages looked up: 0 findings, 0 waived"),
        ([CLEAN, BAD], "", 1, "limits: PYSEC-2026-1 in 1.0, mended in 2.0"),
        ([CLEAN, BAD], "PYSEC-2026-1 2026-11-25 not reached by us", 0, "2 packages looked up: 0 findings, 1 waived"),
        ([CLEAN, BAD], "# known\n\nCVE-2026-1 2026-11-25 not reached by us", 0, "0 findings, 1 waived"),
        ([CLEAN, UNKNOWN], "", 1, "torch: not looked up: Dependency not found on PyPI"),
        ([CLEAN, UNKNOWN], "torch 2026-11-25 a local build", 0, "0 findings, 1 waived"),
        ([CLEAN], "CVE-2025-9 2025-01-01 gone", 0, "CVE-2025-9 is not found any more; its line can go"),
        ([CLEAN, BAD], "PYSEC-2026-1 because", 2, "line 1: write an id, the date as 2026-01-31, and the reason"),
        ([CLEAN, BAD], "PYSEC-2026-1 2026-11-25", 2, "line 1: PYSEC-2026-1 has no reason"),
        ([UNKNOWN], "torch 2026-11-25 a local build", 2, "None of 1 packages could be looked up, so nothing is known"),
    ],
)
def test_what_is_not_waived_with_a_date_and_a_reason_fails_the_audit(
    tmp_path: Path, found: list[dict], waivers: str, status: int, told: str
):
    ended, said = audit(tmp_path, packages(OURS, *found), waivers)
    assert (ended, told in said) == (status, True), said


@pytest.mark.parametrize("said", ["", "No known vulnerabilities found", "{}"])
def test_where_nothing_can_be_fetched_nothing_is_called_clean(tmp_path: Path, said: str):
    ended, told = audit(tmp_path, said, status=1)
    assert (ended, told) == (
        2,
        "no route to host\nThe advisories could not be fetched, so nothing is known of what is installed.\n",
    )

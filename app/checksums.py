"""The digests of files in the form that `sha256sum --check` reads."""

from __future__ import annotations

from collections.abc import Iterable

NAME = "SHA256SUMS"
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r"})


def listing(files: Iterable[tuple[str, str]]) -> str:
    """Return a line for each (name, SHA-256); a name that would break the line is escaped as GNU's program does it."""
    return "".join(_line(name, sha256) for name, sha256 in files)


def _line(name: str, sha256: str) -> str:
    escaped = name.translate(_ESCAPES)
    return f"{'' if escaped == name else chr(92)}{sha256}  {escaped}\n"

"""The web page's files, read once at the start, each with what a browser has to be told of it.

The shell is at `/`, that of the API's reference at `/docs`, the rest below `/pages/VERSION/`, where VERSION is the
digest of all of it: a browser keeps those for a year, and the shell of the next version names others.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "pages"
SHELL, REFERENCE = "index.html", "reference.html"
VERSION = "{version}"
"""Stands in the shell where its files' version belongs."""
SERVED = {".css", ".js", ".svg", ".html"}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
GUARDED = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: some browsers then hide from our own service, too, which page a request comes from.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Vary": "Accept-Encoding",
}
"""Headers of the shell and of every file."""


class PageFile(NamedTuple):
    """A file as it is sent."""

    body: bytes
    gzipped: bytes
    media_type: str
    etag: str


@dataclass(frozen=True)
class PageFiles:
    """The shell, and the others by their names below the version."""

    version: str
    shell: PageFile
    reference: PageFile
    """The shell of the API's reference."""
    files: Mapping[str, PageFile]


def read_page(folder: Path = FOLDER) -> PageFiles:
    """Read all files of the page, and write their version into the shell."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in SERVED)
    bodies = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    all_of_it = hashlib.sha256()
    for name, body in bodies.items():
        all_of_it.update(f"{name}\n{hashlib.sha256(body).hexdigest()}\n".encode())
    version = all_of_it.hexdigest()[:16]
    shell, reference = (
        _file(name, bodies.pop(name).replace(VERSION.encode(), version.encode())) for name in (SHELL, REFERENCE)
    )
    return PageFiles(version, shell, reference, {name: _file(name, body) for name, body in bodies.items()})


@functools.cache  # a file is compressed once in a process, however many applications it makes
def _file(name: str, body: bytes) -> PageFile:
    kind = {".js": "text/javascript"}.get(Path(name).suffix) or mimetypes.guess_type(name)[0]
    etag = f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'  # weak: gzipped or not, it is the same file
    return PageFile(body, gzip.compress(body, compresslevel=6, mtime=0), f"{kind}; charset=utf-8", etag)

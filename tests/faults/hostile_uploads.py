"""Files that mean harm: bombs, forged counts, endless lines, pickles, other formats, names that lead elsewhere."""

from __future__ import annotations

import httpx2
from accounts import Account, Place, Scale, at_least, at_most, exactly, told
from hostile_files import (
    FILES,
    MAX_GROWTH_BYTES,
    MAX_PARSER_BYTES,
    MAX_SECONDS,
    MIB,
    Attempt,
    attempt,
    small_file,
)
from serving import api_process

LEAST = 60


def hostile_uploads(place: Place, scale: Scale) -> Account:
    """Upload every such file, one after another, to one API; look at the answer and at what it cost."""
    names = list(FILES)[: scale.of(len(FILES))]
    with (
        api_process(place.folder / "home", **place.settings) as process,
        httpx2.Client(base_url=process.url, headers=process.headers, timeout=120) as client,
    ):
        small_file(client)  # it loads what it needs
        found: dict[str, Attempt] = {name: attempt(process, client, FILES[name]) for name in names}
        alive = process.process.poll() is None
        after = small_file(client)
    wrong = {name: each.wrong for name, each in found.items() if each.wrong}
    slowest = max(found, key=lambda name: found[name].seconds)
    done = (
        f"{len(found)} files were sent to one API, one after another; each must be refused as a problem that says what "
        f"is wrong. The slowest is {slowest!r}."
    )
    figures = [
        at_least("files", len(found), scale.of(LEAST)),
        exactly("files that were not refused as they should be", len(wrong), 0),
        at_most("seconds until the slowest was refused", found[slowest].seconds, MAX_SECONDS),
        at_most(
            "MiB of memory of the process that read it",
            max(each.parser_bytes for each in found.values()) / MIB,
            MAX_PARSER_BYTES / MIB,
        ),
        at_most(
            "MiB of memory that the API grew by, one file",
            max(each.growth_bytes for each in found.values()) / MIB,
            MAX_GROWTH_BYTES / MIB,
        ),
        exactly("times that the API ended", 0 if alive else 1, 0),
        told("seconds for two honest rows afterwards", after),
    ]
    return Account(done, figures, [f"{name}: {said}" for name, said in wrong.items()])

"""What `fastmtl doctor` looks at: each look takes the settings, changes nothing, and says what it found.

Raises Bad where something that is needed is broken.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import httpx2
import psutil
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from app import revisions
from app.queue import celery_app
from app.remote import address, is_here, key_at_hand
from app.settings import Settings
from app.storage import StorageUnavailable, try_store
from fastmtl import encoders
from fastmtl.client import KEY_VARIABLE, URL_VARIABLE
from fastmtl.config import PACKAGED_ENCODER
from fastmtl.errors import EncoderUnavailable

State = Literal["ok", "note", "bad"]
PATIENCE_SECONDS, DEVICE_SECONDS = 5.0, 120
GIB = 2**30
WANTED_MEMORY_BYTES = 2 * GIB
"""What a worker takes with the packaged encoder, and some room."""
ASK_DEVICE = (
    "import json, sys; from fastmtl.device import choose_device, describe; "
    "m = describe(choose_device(sys.argv[1]), 'auto'); print(json.dumps([m.device, m.precision, m.name, m.free_bytes]))"
)


@dataclass(frozen=True)
class Finding:
    """What one look found."""

    name: str
    state: State
    """`ok`; `note`: it works, with less; `bad`: something that is needed is broken."""
    found: str
    fix: str | None = None
    """What to do about it."""


class Bad(Exception):
    """Something that is needed is broken."""

    def __init__(self, found: str, fix: str) -> None:
        self.found, self.fix = found, fix
        super().__init__(found)


def database(settings: Settings) -> Finding:
    """Reach the database and compare the version of its tables."""
    url = make_url(settings.database)
    where = url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
        return Finding("database", "note", f"{url.database} is not there yet", "the first `fastmtl serve` makes it")
    limit = {"connect_timeout": int(PATIENCE_SECONDS)} if url.get_backend_name() == "postgresql" else {}
    engine = create_engine(url, poolclass=NullPool, connect_args=limit)
    try:
        with engine.connect() as connection:
            found = revisions.current(connection)
    except (SQLAlchemyError, OSError, UnicodeError) as error:
        fix = "is the server up, and is FASTMTL_DATABASE_URL right?"
        raise Bad(f"{where} cannot be reached ({_reason(error)})", fix) from error
    head = revisions.newest()
    if found is None:
        return Finding(
            "database", "note", f"{where} has no tables yet", "`fastmtl serve` or `fastmtl migrate` makes them"
        )
    if found != head:
        fix = "`fastmtl migrate`; if its tables are newer, update this installation instead"
        raise Bad(f"the tables of {where} are of version {found}, and {head} is wanted", fix)
    return Finding("database", "ok", where)


def broker(settings: Settings) -> Finding:
    """Reach the broker."""
    if settings.broker_url is None:
        return Finding("broker", "ok", "a folder in the home")
    with celery_app(settings) as celery, celery.connection_for_write() as connection:
        where = connection.as_uri()  # without its password
        try:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=PATIENCE_SECONDS)
        except Exception as error:  # whatever a broker's driver raises
            fix = "is the server up, and is FASTMTL_BROKER_URL right?"
            raise Bad(f"{where} cannot be reached ({_reason(error)})", fix) from error
    return Finding("broker", "ok", where)


def storage(settings: Settings) -> Finding:
    """Ask whether the home can be written to, for room on its disk, and for the object store where there is one."""
    place = next(each for each in (settings.home.absolute(), *settings.home.absolute().parents) if each.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise Bad(f"{place} cannot be written to", "give this user the right to, or name another FASTMTL_HOME")
    free, needed = shutil.disk_usage(place).free, max(settings.min_free_bytes, settings.spare_bytes)
    told = f"{free / GIB:,.1f} GiB free at {place}"
    if free < needed:
        fix = f"make room: with less than {needed / GIB:,.2f} GiB the service takes no uploads; delete old jobs"
        raise Bad(told, fix)
    if settings.store is not None:
        try:
            try_store(settings.store)
        except StorageUnavailable as error:
            raise Bad(f"{error.told} ({error.filename})", error.hint) from error
        told = f"{settings.store}; {told}"
    return Finding("storage", "ok", told)


def memory(_settings: Settings) -> Finding:
    """Ask for free memory."""
    found = psutil.virtual_memory()
    told = f"{found.available / GIB:,.1f} of {found.total / GIB:,.1f} GiB free"
    if found.available < WANTED_MEMORY_BYTES:
        fix = f"a worker with {PACKAGED_ENCODER} wants about {WANTED_MEMORY_BYTES / GIB:.0f} GiB: close something"
        return Finding("memory", "note", told, fix)
    return Finding("memory", "ok", told)


def encoder_files(settings: Settings) -> Finding:
    """Look for the files of every encoder that jobs may name."""
    here: list[str] = []
    elsewhere: list[str] = []
    broken: dict[str, str] = {}
    for name, location in settings.encoders.items():
        try:
            (elsewhere if encoders.cached(location) is None else here).append(name)
        except EncoderUnavailable as error:
            broken[name] = str(error)
    told = [f"here: {', '.join(here)}" if here else "none is on this machine"]
    told += [f"fetched from the hub when first used: {', '.join(elsewhere)}"] if elsewhere else []
    if broken:
        name, reason = next(iter(broken.items()))
        told.append(f"not to be had: {', '.join(broken)}")
        return Finding("encoders", "note", "; ".join(told), f"{name}: {reason}")
    return Finding("encoders", "ok", "; ".join(told))


def device(settings: Settings) -> Finding:
    """Ask torch, in a process of its own, what would compute."""
    fix = "pip install 'fastmtl[train]', or set FASTMTL_DEVICE to one that is there (auto, cpu, cuda, cuda:N)"
    try:
        told = subprocess.run(
            [sys.executable, "-c", ASK_DEVICE, settings.device], capture_output=True, text=True, timeout=DEVICE_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise Bad(f"torch does not answer within {DEVICE_SECONDS} s", "does the GPU's driver work?") from error
    if told.returncode:
        last = (told.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Bad(f"{settings.device} cannot be used: {last}", fix)
    name, precision, about, free = json.loads(told.stdout.splitlines()[-1])
    return Finding("device", "ok", f"{name}, {precision}: {about}, {free / GIB:,.1f} GiB free")


def api(url: str | None, settings: Settings) -> Finding:
    """Reach the service, ask whether it is ready, and whether the key at hand counts."""
    place = address(url, settings)
    key = key_at_hand(settings) if is_here(place) else os.environ.get(KEY_VARIABLE)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with httpx2.Client(base_url=place, timeout=PATIENCE_SECONDS, headers=headers) as http:
            ready, mine = http.get("/v1/ready"), http.get("/v1/keys/self")
        told = ready.json()
    except httpx2.HTTPError as error:
        if url is None and URL_VARIABLE not in os.environ:
            return Finding("api", "note", f"nothing answers at {place}", "`fastmtl serve` starts it")
        raise Bad(
            f"{place} cannot be reached ({_reason(error)})", "is it running there, and is the address right?"
        ) from error
    except ValueError as error:
        raise Bad(f"what answers at {place} is not this service", "is the address right?") from error
    if not ready.is_success:
        raise Bad(f"{place} is not ready: {told.get('detail')}", "mend what it names, on its machine")
    if mine.status_code == httpx2.codes.UNAUTHORIZED:
        raise Bad(
            f"{place} is ready, but asks for a key that counts", f"set {KEY_VARIABLE}; `fastmtl keys create` makes one"
        )
    if not told.get("workers"):
        return Finding("api", "note", f"{place} is ready, but no worker is there", "`fastmtl worker` starts one")
    return Finding("api", "ok", f"{place} is ready, workers: {told['workers']}")


ALL: MappingProxyType[str, Callable[[Settings], Finding]] = MappingProxyType(
    {"database": database, "broker": broker, "storage": storage, "memory": memory, "encoders": encoder_files}
)
"""By name, in order, but for the device and the service, which are asked differently."""


def _reason(error: BaseException) -> str:
    """Return the first line of what a driver says, without what it was given."""
    inner = getattr(error, "orig", None) or error
    return (str(inner).strip().splitlines() or [type(inner).__name__])[0][:200]

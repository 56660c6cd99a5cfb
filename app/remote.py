"""The service that a command talks to: where it is, and with which key."""

from __future__ import annotations

import ipaddress
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ValidationError

from app.settings import Settings
from app.terminal import Terminal
from fastmtl.client import KEY_VARIABLE, URL_VARIABLE, Client, Invalid
from fastmtl.errors import InvalidDataset
from fastmtl.hub_names import is_hub_name


class NoDataset(ValueError):
    """What stands for a dataset is neither a file, nor a name on the hub, nor an id."""


def settings_of_environment() -> Settings:
    """Return the settings. Raises ValueError that names the variable that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"][:1]).upper()
        place = f"FASTMTL_{name}: " if name else ""
        raise ValueError(f"{place}{first['msg'].removeprefix('Value error, ')}") from error


def address(url: str | None, settings: Settings) -> str:
    """Return where the service is: as said, as FASTMTL_URL says, else where `fastmtl serve` would be here."""
    found = url or os.environ.get(URL_VARIABLE) or f"http://{_reachable(settings.host)}:{settings.port}"
    if urlsplit(found).scheme not in ("http", "https") or not urlsplit(found).hostname:
        raise ValueError(f"{found!r} is no address of a service: it looks like http://127.0.0.1:8000")
    return found


def key_at_hand(settings: Settings) -> str | None:
    """Return the key to send to this deployment: the environment's, else the one made at its first start."""
    if key := os.environ.get(KEY_VARIABLE):
        return key
    try:
        return settings.first_key.read_text().strip() or None
    except OSError:
        return None


@contextmanager
def connected(url: str | None) -> Iterator[Client]:
    """Open a client; the key that lies in the home goes to this machine alone."""
    settings = settings_of_environment()
    place = address(url, settings)
    key = key_at_hand(settings) if is_here(place) else os.environ.get(KEY_VARIABLE)
    with Client(place, key) as client:
        yield client


def is_here(url: str) -> bool:
    """Whether an address is this machine's own."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def dataset_id(client: Client, terminal: Terminal, given: str) -> str:
    """Return the id of a dataset that is named by it, or by a file or a name on the hub, which is then uploaded.

    The same rows within a day are the same dataset. Raises NoDataset.
    """
    path = Path(given)
    if is_hub_name(given) or path.is_file():
        try:
            dataset = client.upload(given, name=None if is_hub_name(given) else _name(path), resumable=True)
        except (Invalid, InvalidDataset):
            terminal.note(f"{given} cannot be used")
            raise
        terminal.note(f"{dataset.source or given} is dataset {dataset.id}: {dataset.rows:,} rows, {dataset.kind}")
        for warning in dataset.warnings:
            terminal.note(f"note on {dataset.name}: {warning}")
        return dataset.id
    try:
        return str(uuid.UUID(given))
    except ValueError as error:
        told = f"{given!r} is neither a file here nor the id of a dataset (`fastmtl datasets list` shows those)"
        raise NoDataset(told) from error


def _name(path: Path) -> str:
    """Return what a dataset is called after its file, or after its folder where every task has a file of that name."""
    folder = path.absolute().parent.name
    if path.stem == "train" and folder:
        return folder
    return f"{folder}-{path.stem}" if path.stem in ("validation", "dev", "test") and folder else path.stem


def _reachable(host: str) -> str:
    """Return the address under which a server that listens on all of them is reached from here."""
    if host in ("0.0.0.0", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host

"""The service's own secret, and files that only their owner reads."""

from __future__ import annotations

import os
import secrets
import uuid
from pathlib import Path

from app.settings import Settings


def service_secret(settings: Settings) -> bytes:
    """Return the secret that hashes and signatures are made with; a file in the home is made where none is set."""
    if settings.secret:
        return settings.secret.get_secret_value().encode()
    path = settings.home / "secret"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, secrets.token_hex(32), keep=True)
    return path.read_bytes().strip()


def write_private(path: Path, text: str, *, keep: bool = False) -> None:
    """Write a file that only its owner reads, whole or not at all; with `keep` one that is there stays."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if not keep:
        partial.replace(path)
        return
    try:
        os.link(partial, path)
    except FileExistsError:
        pass  # another process was first
    finally:
        partial.unlink()

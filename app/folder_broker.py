"""A folder as broker: kombu's transport over files, of which nothing is ever seen half-written.

kombu's own writes every file in place. A worker that finds a message between its creation and its first byte ends, with
status 0; a process killed at that moment while it first declares a queue leaves an empty table with which no worker and
no API starts again. Here a file is written under another name and then renamed; a message is whose removal succeeds;
what cannot be read all the same is passed over, for a message is only a bell and the sweep rings again.
"""

# mypy: disallow-untyped-calls=False
from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any

import structlog
from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps, loads

log = structlog.get_logger()

Binding = filesystem.exchange_queue_t
"""(routing key, pattern, queue): where an exchange sends what."""


class Channel(filesystem.Channel):
    """Puts and gets messages."""

    def get_table(self, exchange: str) -> list[Binding]:
        """Return an exchange's bindings; none where the file is missing or unreadable."""
        try:
            return [Binding(*each) for each in loads(self._exchange_file(exchange).read_text())]
        except (FileNotFoundError, ValueError):
            return []

    def _put(self, queue: str, message: Any, **_: Any) -> None:  # type: ignore[override]  # noqa: ANN401 - kombu's
        folder = Path(self.data_folder_out)
        try:
            # By the nanosecond, so that messages are got in the order in which they were put.
            _write(folder / f"{time.time_ns():020d}_{uuid.uuid4()}.{queue}.msg", dumps(message))
        except OSError as error:
            raise ChannelError(f"the message cannot be written to {folder}: {error.strerror}") from error

    def _get(self, queue: str, timeout: float | None = None) -> Any:  # noqa: ANN401 - kombu's message
        folder = Path(self.data_folder_in)
        for name in sorted(os.listdir(folder)):
            if name.partition(".")[2] != f"{queue}.msg":
                continue
            try:
                payload = (folder / name).read_text()
                (folder / name).unlink()
            except FileNotFoundError:  # another worker was first
                continue
            try:
                return loads(payload)
            except ValueError:
                log.warning("message.unreadable", file=name)
        raise Empty

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        binding = Binding(routing_key or "", pattern or "", queue or "")
        self._rebind(exchange, lambda table: table if binding in table else [binding, *table])

    def _delete(self, queue: str, exchange: str, routing_key: str, pattern: str, *_: object, **__: object) -> None:
        self._purge(queue)
        binding = Binding(routing_key or "", pattern or "", queue or "")
        self._rebind(exchange, lambda table: [each for each in table if each != binding])

    def _rebind(self, exchange: str, change: Callable[[list[Binding]], list[Binding]]) -> None:
        file = self._exchange_file(exchange)
        try:
            with _alone(file.with_name(".lock")):
                before = self.get_table(exchange)
                after = change(before)
                if after != before:
                    _write(file, dumps(after))
        except OSError as error:
            raise ChannelError(f"the table {file} cannot be written: {error.strerror}") from error


class Transport(filesystem.Transport):
    """What Celery is told to use."""

    Channel = Channel


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let no other process be in here; the lock goes with the process that has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        filesystem.lock(file, filesystem.LOCK_EX)
        yield


def _write(path: Path, text: str) -> None:
    """Write a file that is complete or absent."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4()}.part")
    try:
        partial.write_text(text)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise

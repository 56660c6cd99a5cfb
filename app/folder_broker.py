"""kombu's broker over files, with messages that are whole before they can be seen.

kombu opens a message's file under its final name and then writes it; a worker that looks in between takes an empty
message, and an unreadable message ends a worker. It was seen on a busy machine. Here the file is renamed once written.
"""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils import json


class Channel(filesystem.Channel):
    """Writes a message beside its place, and moves it there."""

    def _put(  # type: ignore[override]
        self,
        queue: str,
        message: dict[str, Any],
        **_: Any,  # noqa: ANN401 - kombu's own signature
    ) -> None:
        name = f"{round(time.monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg"
        folder = Path(self.data_folder_out)
        partial = folder / f".{name}.part"  # no reader takes a name that begins so
        try:
            partial.write_text(str(json.dumps(message)))  # type: ignore[no-untyped-call]
            partial.replace(folder / name)
        except OSError as error:
            raise ChannelError(f"the message cannot be written to {folder}: {error.strerror}") from error


class Transport(filesystem.Transport):
    """kombu's, with that channel."""

    Channel = Channel

"""Messages in the folder are whole as soon as they can be seen."""

from __future__ import annotations

import json
import threading
import uuid
from pathlib import Path

from app.queue import Queue
from app.settings import Settings

MESSAGES = 150


def test_whoever_looks_while_messages_are_written_sees_whole_ones(tmp_path: Path):
    queue = Queue(Settings(home=tmp_path))
    writer = threading.Thread(target=queue.ring, args=([uuid.uuid4() for _ in range(MESSAGES)],))
    writer.start()
    looks = 0
    while writer.is_alive():
        for path in (tmp_path / "broker" / "messages").glob("*.msg"):
            json.loads(path.read_text())
            looks += 1
    writer.join()
    queue.close()
    left = [path.name for path in (tmp_path / "broker" / "messages").iterdir()]
    assert (looks > 0, len(left), all(name.endswith(".steps.msg") for name in left)) == (True, MESSAGES, True)

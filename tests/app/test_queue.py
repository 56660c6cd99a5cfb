"""The bell: steps are rung in the order that they are given."""

from __future__ import annotations

import json
import uuid
from base64 import b64decode
from pathlib import Path

from app.queue import Queue
from app.settings import Settings


def test_messages_in_the_folder_stand_in_the_order_they_were_rung(tmp_path: Path):
    steps = [uuid.uuid4() for _ in range(30)]
    queue = Queue(Settings(home=tmp_path))
    queue.ring(steps)
    queue.close()
    rung = []
    # kombu reads the folder sorted by name as text; names begin with the milliseconds of one clock.
    for path in sorted((tmp_path / "broker" / "messages").iterdir()):
        message = json.loads(path.read_text())
        arguments, _, _ = json.loads(b64decode(message["body"]))
        rung.append(uuid.UUID(arguments[0]))
    assert rung == steps

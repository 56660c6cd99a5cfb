"""The folder as broker: what is damaged or half there stops nobody."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection

from app.folder_broker import Channel
from app.jobs import Ready
from app.queue import Queue, celery_app
from app.settings import Settings

MESSAGES = 150


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    with celery_app(Settings(home=tmp_path)).connection() as connection:
        yield connection


@pytest.fixture
def channel(connection: Connection) -> Channel:
    return connection.channel()


def test_messages_are_got_once_in_the_order_in_which_they_were_put(channel: Channel):
    for number in range(30):
        channel._put("steps", {"number": number})
    assert [channel._get("steps")["number"] for _ in range(30)] == [*range(30)]
    with pytest.raises(Empty):
        channel._get("steps")


@pytest.mark.parametrize("text", ["", '{"number": ', "\x00"])
def test_a_message_that_cannot_be_read_is_passed_over(channel: Channel, tmp_path: Path, text: str):
    messages = tmp_path / "broker" / "messages"
    (messages / "00_damaged.steps.msg").write_text(text)
    channel._put("steps", {"number": 1})
    assert channel._get("steps") == {"number": 1}
    assert [*messages.iterdir()] == []


@pytest.mark.parametrize("text", ["", '[["steps", '])
def test_a_table_that_cannot_be_read_is_written_anew(connection: Connection, tmp_path: Path, text: str):
    (tmp_path / "broker" / "control" / "steps.exchange").write_text(text)
    connection.channel()._queue_bind("steps", "steps", "", "steps")
    assert [binding.queue for binding in connection.channel().get_table("steps")] == ["steps"]


def test_queues_that_are_declared_at_once_are_all_there(connection: Connection):
    names = [f"queue-{number}" for number in range(20)]
    bind = [threading.Thread(target=connection.channel()._queue_bind, args=("many", "", "", name)) for name in names]
    for thread in bind:
        thread.start()
    for thread in bind:
        thread.join()
    assert sorted(binding.queue for binding in connection.channel().get_table("many")) == sorted(names)


def test_a_message_is_got_by_one_of_many(connection: Connection):
    channel = connection.channel()
    for number in range(60):
        channel._put("steps", number)
    got: list[int] = []

    def take() -> None:
        mine = connection.channel()
        while True:
            try:
                got.append(mine._get("steps"))
            except Empty:
                return

    takers = [threading.Thread(target=take) for _ in range(4)]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join()
    assert sorted(got) == [*range(60)]


def test_a_bell_that_cannot_be_written_is_left_to_the_sweep(tmp_path: Path):
    queue = Queue(Settings(home=tmp_path))
    (tmp_path / "broker" / "messages").rmdir()
    queue.ring([Ready(uuid.uuid4(), needs_device=True)])
    queue.close()


def test_whoever_looks_while_messages_are_written_sees_whole_ones(tmp_path: Path):
    queue = Queue(Settings(home=tmp_path))
    writer = threading.Thread(target=queue.ring, args=([Ready(uuid.uuid4(), True) for _ in range(MESSAGES)],))
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

"""A worker's measurement of its device: with real processes, on an encoder of two layers."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from tiny import write_encoder

from app.db import Database
from app.measurements import CALIBRATION, Log, Seen, encoder_digest, of_device
from app.settings import Settings
from fastmtl.encoders import KNOWN
from worker.calibrator import Calibrator, default_encoder


class World:
    """A worker's settings, its database and what is in it."""

    def __init__(self, folder: Path, url: str, **changes: object) -> None:
        self.location = f"folder:{write_encoder('bert', folder / 'bert')}"
        values = {"home": folder, "encoders": {"tiny": self.location}, "device": "cpu", "threads": 1}
        self.settings = Settings(**{**values, **changes})
        self.database = Database(url)

    def calibrator(self) -> Calibrator:
        return Calibrator(self.database, self.settings)

    def log(self) -> Log:
        with self.database.reading() as session:
            return of_device(session, "auto")


@pytest.fixture
def world(tmp_path: Path, sqlite_url: str) -> World:
    return World(tmp_path, sqlite_url)


def starts(seen: tuple[Seen, ...]) -> list[Seen]:
    return [each for each in seen if each.starts]


def test_a_device_is_measured_once(world: World):
    world.calibrator().run()
    log = world.log()
    assert {(each.kind, each.encoder) for each in log.with_torch} == {(CALIBRATION, encoder_digest(world.location))}
    assert len(starts(log.with_torch)) == len(starts(log.without)) == 1
    assert starts(log.with_torch)[0].seconds > starts(log.without)[0].seconds > 0  # torch, and an encoder
    assert {bool(each.work.steps) for each in log.with_torch} == {True, False}
    assert log.device is not None and log.device.endswith(("fp32", "bf16"))
    world.calibrator().run()
    assert world.log() == log


def test_it_gives_way_to_a_step_at_once_and_leaves_nothing(world: World):
    calibrator = world.calibrator()
    measuring = threading.Thread(target=calibrator.run)
    measuring.start()
    scratch = world.settings.home / "scratch"
    until = time.monotonic() + 30
    while not list(scratch.glob("*/calibrate/request.json")):
        assert time.monotonic() < until
        time.sleep(0.01)
    calibrator.give_way()
    measuring.join(10)
    assert not measuring.is_alive()
    assert (world.log().with_torch, list(scratch.glob("*/*"))) == ((), [])


def test_one_that_was_told_to_give_way_before_it_began_begins_nothing(world: World):
    calibrator = world.calibrator()
    calibrator.give_way()
    calibrator.run()
    assert world.log().with_torch == ()


def test_an_encoder_that_cannot_be_loaded_leaves_the_worker_well(tmp_path: Path, sqlite_url: str):
    world = World(tmp_path, sqlite_url, encoders={"gone": f"folder:{tmp_path}/gone"})
    world.calibrator().run()
    assert world.log().with_torch == ()


def test_it_does_not_begin_where_the_settings_say_no(tmp_path: Path, sqlite_url: str):
    world = World(tmp_path, sqlite_url, calibrate=False)
    world.calibrator().start()
    assert "calibrate" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize(
    ("known", "name"),
    [
        (KNOWN, "all-MiniLM-L6-v2"),
        ({"b": "folder:/b", "a": "folder:/a", "h": "hub:a/b@main"}, "a"),
        ({"h": "hub:a/b@main"}, None),  # nothing is fetched for a measurement
    ],
)
def test_the_encoder_is_the_default_or_the_first_that_is_here(known: dict[str, str], name: str | None):
    found = default_encoder(known)
    assert (found and found["name"]) == name

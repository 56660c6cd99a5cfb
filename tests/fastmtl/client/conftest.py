"""A service whose steps are finished by hand, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from service import Api, api, served

from fastmtl.client import Client


@pytest.fixture
def hand(tmp_path: Path) -> Iterator[Api]:
    """The service, whose steps are finished by hand."""
    with api(tmp_path / "home") as inner:
        yield Api(inner, tmp_path / "home")


@pytest.fixture
def client(hand: Api) -> Iterator[Client]:
    with served(hand.client.app) as url, Client(url, hand.key) as client:  # type: ignore[arg-type]
        yield client

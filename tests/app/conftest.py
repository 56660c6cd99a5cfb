"""An API in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from service import Api, api


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Api]:
    with api(tmp_path / "home") as client:
        yield Api(client, tmp_path / "home")

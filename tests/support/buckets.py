"""A bucket of a test's own, and what tells a process of it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace

import httpx2
import obstore
from obstore.store import S3Store

from app.store_address import Place

KEY_ID, SECRET = "AKIATESTKEY000000001", "a-secret-that-no-log-may-hold"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1"}
PREFIX = "fastmtl"


@dataclass(frozen=True)
class Bucket:
    """Where it is."""

    endpoint: str
    name: str

    @property
    def place(self) -> Place:
        """It as a store is told of it."""
        return Place(self.name, PREFIX, self.endpoint, None)

    @property
    def settings(self) -> dict[str, str]:
        """It as `Settings` has it."""
        return {"storage_url": f"s3://{self.name}/{PREFIX}", "storage_endpoint": self.endpoint}

    @property
    def environment(self) -> dict[str, str]:
        """It as a process's environment has it; the credentials are in that of the tests already."""
        return {f"FASTMTL_{name.upper()}": value for name, value in self.settings.items()}

    def behind(self, endpoint: str) -> Bucket:
        """Return it as it is reached through another address."""
        return replace(self, endpoint=endpoint)

    def keys(self) -> list[str]:
        """Return every key, as the server itself tells it."""
        return sorted(each["path"].removeprefix(f"{PREFIX}/") for page in obstore.list(self._store) for each in page)

    def overwrite(self, key: str, content: bytes) -> None:
        """Put something else there, past us."""
        obstore.put(self._store, f"{PREFIX}/{key}", content)

    @property
    def _store(self) -> S3Store:
        return S3Store(self.name, endpoint=self.endpoint, client_options={"allow_http": True})


def make_bucket(endpoint: str) -> Bucket:
    """Make an empty one."""
    made = Bucket(endpoint, f"test-{uuid.uuid4().hex}")
    httpx2.put(f"{endpoint}/{made.name}", timeout=30).raise_for_status()
    return made

"""Where an object store is, as `FASTMTL_STORAGE_URL` and its neighbours say it."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

SCHEME = "s3"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,62}")


class Place(NamedTuple):
    """A prefix in a bucket."""

    bucket: str
    prefix: str
    endpoint: str | None
    """None: AWS's own, of the region."""
    region: str | None

    def __str__(self) -> str:
        """Return it as people write it; credentials are no part of it."""
        path = f"{self.bucket}/{self.prefix}".rstrip("/")
        return f"{SCHEME}://{path}" + (f" at {self.endpoint}" if self.endpoint else "")


def parse(url: str, endpoint: str | None, region: str | None) -> Place:
    """Return the place. Raises ValueError that says what would be right."""
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError("credentials do not belong into the address: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if parts.scheme != SCHEME or parts.query or parts.fragment:
        raise ValueError(f"{url!r} is no address of an object store: it looks like s3://bucket/prefix")
    if not _BUCKET.fullmatch(parts.netloc):
        raise ValueError(f"{parts.netloc!r} is no name of a bucket: 3 to 63 letters, digits, dots and hyphens")
    return Place(parts.netloc, parts.path.strip("/"), endpoint, region)


def check_endpoint(endpoint: str) -> str:
    """Return the address of a store without a slash at its end. Raises ValueError."""
    parts = urlsplit(endpoint)
    if "@" in parts.netloc:
        raise ValueError("credentials do not belong into the address: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise ValueError(f"{endpoint!r} is no address of an object store: it looks like https://s3.example.org")
    return endpoint.rstrip("/")

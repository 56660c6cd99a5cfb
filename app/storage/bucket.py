"""Requests to an S3-compatible store: streamed, tried again for a while, and what goes wrong in words without secrets.

What a store says in an error may hold the access key's id, and what was signed: none of it goes any further than here.
"""

from __future__ import annotations

import configparser
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from app.storage.face import StorageUnavailable, cut_short
from app.store_address import Place

PART_BYTES = 8 * 2**20
"""Of an upload."""
READ_BYTES = 4 * 2**20
"""Asked for at once: a slow client holds no connection to the store, and no more than this in memory."""
PARTS_AT_ONCE = 4
MOST_PARTS = 10_000
"""S3 takes no more of one file."""
PROFILE_LASTS = timedelta(minutes=5)
"""A file of credentials is read again after so long: then they can be changed while the service runs."""

NO_BUCKET = "the object store has no such bucket"
REFUSED = "the object store refuses the service's credentials"
NO_CREDENTIALS = "there are no credentials for the object store"
SILENT = "the object store does not answer"
ANSWERS = "the object store answers"
HINTS = {
    NO_BUCKET: "make the bucket, or correct FASTMTL_STORAGE_URL",
    REFUSED: "correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or allow that key to read, write, list and delete",
    NO_CREDENTIALS: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SHARED_CREDENTIALS_FILE to a file that "
    "has both in its profile (AWS_PROFILE)",
    SILENT: "is it up, and are FASTMTL_STORAGE_ENDPOINT and FASTMTL_STORAGE_REGION right?",
}
HINT = "look at its log; are FASTMTL_STORAGE_URL, FASTMTL_STORAGE_ENDPOINT and FASTMTL_STORAGE_REGION right?"

METADATA = "/latest/api/token"
"""Where credentials are asked for that nobody has set: of the machine, should it be one of AWS."""

PROBES = "probes"
PROBE = b"whether what is written can be read again"

_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_REFUSED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
_REFUSED |= {"AllAccessDisabled", "AccountProblem", "InvalidSecurity", "NotSignedUp", "RequestTimeTooSkewed"}


class Manner(NamedTuple):
    """How a process uses the store."""

    patience_seconds: float
    """How long a request is tried again where the store is away."""
    request_seconds: float
    """The longest of one request, which moves some MiB at most."""


BRIEF = Manner(0.0, 4.0)
"""A trial: each request is made once."""


class Bucket:
    """One bucket's files below a prefix; what is asked of a store that is away is asked again for some seconds."""

    def __init__(self, place: Place, patience_seconds: float, request_seconds: float) -> None:
        self._place = place
        named = {"endpoint": place.endpoint, "region": place.region}
        # Any: the types that obstore gives these cannot be imported when it runs.
        config: Any = {"checksum_algorithm": "SHA256", **{name: value for name, value in named.items() if value}}
        profile: Any = self._profile()
        self._store = S3Store(
            place.bucket,
            prefix=place.prefix or None,
            config=config,
            client_options={
                "timeout": timedelta(seconds=request_seconds),
                "connect_timeout": timedelta(seconds=min(5.0, request_seconds)),
                "allow_http": urlsplit(place.endpoint or "").scheme == "http",
            },
            retry_config={
                "max_retries": 100 if patience_seconds else 0,
                "retry_timeout": timedelta(seconds=patience_seconds),
                "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=5)},
            },
            credential_provider=profile,
        )

    def put(self, source: Path, key: str, attributes: dict[str, str]) -> None:
        """Send a file in parts, each with its SHA-256, which the store checks; it is there when all are.

        Raises StorageUnavailable, FileNotFoundError where the source is gone.
        """
        part_bytes = max(PART_BYTES, -(-source.stat().st_size // (MOST_PARTS - 1)))
        try:
            with self._asking():
                obstore.put(
                    self._store,
                    key,
                    source,
                    attributes=attributes,
                    chunk_size=part_bytes,
                    max_concurrency=PARTS_AT_ONCE,
                )
        except FileNotFoundError:
            if not source.exists():
                raise
            # The store may have put the parts together after all, and not have said so in time.
            raise self.unavailable(f"{ANSWERS} NoSuchUpload") from None

    def write(self, key: str, content: bytes) -> None:
        """Send a few bytes."""
        with self._asking():
            obstore.put(self._store, key, content, use_multipart=False)

    def read(self, key: str, start: int, stop: int) -> Iterator[bytes]:
        """Yield a part of a file, some MiB at a time. Raises FileNotFoundError, OSError where it is shorter."""
        while start < stop:
            end = min(stop, start + READ_BYTES)
            with self._asking():
                chunk = bytes(obstore.get_range(self._store, key, start=start, end=end))
            if len(chunk) < end - start:
                raise cut_short(key)
            start = end
            yield chunk

    def size(self, key: str) -> int | None:
        """Return the bytes of a file; None where it is not there."""
        try:
            with self._asking():
                return obstore.head(self._store, key)["size"]
        except FileNotFoundError:
            return None

    def keys(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        """Yield the keys below a prefix, each with the time of its last change."""
        with self._asking():
            for page in obstore.list(self._store, prefix=f"{prefix}/"):
                yield from ((each["path"], each["last_modified"]) for each in page)

    def folders(self, prefix: str) -> set[str]:
        """Return the names right below a prefix under which there is something."""
        with self._asking():
            found = obstore.list_with_delimiter(self._store, prefix=f"{prefix}/")
        return {PurePosixPath(each).name for each in found["common_prefixes"]}

    def delete(self, keys: list[str]) -> None:
        """Remove files; one that is not there is no error."""
        if keys:
            with self._asking():
                obstore.delete(self._store, keys)

    def sign(self, key: str, seconds: float) -> str:
        """Return an address at which the file can be had for so long."""
        with self._asking():
            return obstore.sign(self._store, "GET", key, timedelta(seconds=seconds))

    def try_out(self) -> None:
        """Write, read and remove a few bytes. Raises StorageUnavailable."""
        key = f"{PROBES}/{uuid.uuid4().hex}"
        self.write(key, PROBE)
        read = b"".join(self.read(key, 0, len(PROBE)))
        self.delete([key])
        if read != PROBE:
            raise self.unavailable("what the object store gives back is not what was written")

    def unavailable(self, told: str) -> StorageUnavailable:
        """Return the error that says so."""
        return StorageUnavailable(told, str(self._place), HINTS.get(told.partition(" (")[0], HINT))

    def _profile(self) -> _Profile | None:
        """Return what gives credentials from a file, where one is named. Raises StorageUnavailable."""
        path = os.environ.get("AWS_SHARED_CREDENTIALS_FILE")
        if not path:
            return None
        profile = _Profile(Path(path))
        try:
            profile()
        except (OSError, KeyError, configparser.Error):
            raise self.unavailable(NO_CREDENTIALS) from None
        return profile

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Put what goes wrong into our words. Raises StorageUnavailable, FileNotFoundError."""
        try:
            yield
        except FileNotFoundError as error:
            if "NoSuchBucket" not in str(error):
                raise FileNotFoundError(2, "there is no such file in the store") from None
            raise self.unavailable(NO_BUCKET) from None
        except BaseError as error:
            raise self.unavailable(_told(error)) from None


class _Profile:
    """Credentials in a file as AWS's own programs write it: [default], aws_access_key_id, aws_secret_access_key."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._name = os.environ.get("AWS_PROFILE", "default")

    def __call__(self) -> dict[str, Any]:
        """Read the file."""
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(self._path.read_text())
        section = parser[self._name]
        return {
            "access_key_id": section["aws_access_key_id"],
            "secret_access_key": section["aws_secret_access_key"],
            "token": section.get("aws_session_token"),
            "expires_at": datetime.now(UTC) + PROFILE_LASTS,
        }


def _told(error: BaseError) -> str:
    """Return what may be said of an error."""
    text = str(error)
    code = match[1] if (match := _CODE.search(text)) else None
    if code == "NoSuchBucket":
        return NO_BUCKET
    if code in _REFUSED or isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return REFUSED + (f" ({code})" if code else "")
    if code:
        return f"{ANSWERS} {code}"
    return NO_CREDENTIALS if METADATA in text else SILENT

"""A store that is a bucket of an S3-compatible server; machines share nothing else.

What has to be on a disk is there only for as long as it is needed: what comes in, what running steps keep, and fetched
files in a bounded cache. A file is sent whole before it can be seen, so a crash leaves at most one that no row names,
which the janitor removes, or parts of one, which a rule of the bucket should (docs/operating.md).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import structlog

from app.filenames import disposition, media_type
from app.storage.bucket import BRIEF, Bucket, Manner
from app.storage.cache import FileCache, Writer
from app.storage.face import Storage, StorageUnavailable
from app.store_address import Place

log = structlog.get_logger()

DELETED_AT_ONCE = 1000
SEND_SECONDS = 120.0
MAX_TOLD = 10
"""Of prefixes in a line of the log."""


class ObjectStorage(Storage):
    """Keeps files in a bucket."""

    tidy_seconds = 900.0  # every page of a thousand names is a request

    def __init__(
        self,
        root: Path,
        place: Place,
        cache_bytes: int,
        manner: Manner,
        spare_bytes: int = 0,
        signing: tuple[str | None, float] | None = None,
    ) -> None:
        """`signing` is the endpoint that clients reach the store at, None for ours, and how long an address lasts."""
        super().__init__(root, spare_bytes)
        self._bucket = Bucket(place, *manner)
        self._once = Bucket(place, *BRIEF)
        # A store takes its time to put the parts of a large file together.
        self._sender = Bucket(place, manner.patience_seconds, max(SEND_SECONDS, manner.request_seconds))
        self._cache = FileCache(self._root / "cache", cache_bytes)
        self._signing = signing
        public = place._replace(endpoint=signing[0]) if signing and signing[0] else place
        self._signer = Bucket(public, *manner) if signing else None

    def put(self, source: Path, key: str, sha256: str) -> None:
        """Send it, and keep what was sent in the cache: whoever made it is likely to read it next."""
        size = source.stat().st_size
        self._sender.put(source, key, _attributes(key))
        if self._bucket.size(key) != size:
            raise self._bucket.unavailable("the object store has not what was sent")
        self._cache.add(source, key)

    def read(self, key: str, start: int, stop: int) -> Iterator[bytes]:
        """Yield it from the store."""
        return self._bucket.read(key, start, stop)

    def size(self, key: str) -> int | None:
        """Ask the store."""
        return self._bucket.size(key)

    @contextmanager
    def local(self, key: str, sha256: str) -> Iterator[Path]:
        """Give a link to the cached file."""
        with self.incoming() as folder:
            target = folder / PurePosixPath(key).name
            self.place(key, sha256, target)
            yield target

    def place(self, key: str, sha256: str, target: Path) -> None:
        """Link to the cached file, which is fetched where it is not here."""

        def size() -> int:
            found = self._bucket.size(key)
            if found is None:
                raise FileNotFoundError(2, "a stored file is not there any more", key)
            self.check_room(found)
            return found

        def fetch(file: Writer, length: int) -> None:
            for chunk in self._bucket.read(key, 0, length):
                file.write(chunk)

        self._cache.link(key, sha256, size, fetch, target)

    def beside(self, key: str) -> Path:
        """Return the folder of the fetched file: what lies there counts to the cache's bound, and goes as files do."""
        return self._cache.folder_of(key)

    def folders(self, prefix: str) -> set[str]:
        """Ask the store, the cache and the disk."""
        here = self.path(prefix)
        kept = {path.name for path in here.iterdir() if path.is_dir()} if here.is_dir() else set()
        return kept | self._cache.folders(prefix) | self._bucket.folders(prefix)

    def age_seconds(self, prefix: str) -> float:
        """Return how old the newest file is, in the store or else on this disk."""
        newest = max((at for _, at in self._bucket.keys(prefix)), default=None)
        if newest is None:
            newest = max(self._changes(prefix), default=datetime.now(UTC))
        return (datetime.now(UTC) - newest).total_seconds()

    def delete_prefix(self, *prefixes: str) -> None:
        """Remove what is here, then what is in the store; where that is away, it is asked once for all of them."""
        for prefix in prefixes:
            shutil.rmtree(self.path(prefix), ignore_errors=True)
            self._cache.delete_prefix(prefix)
        try:
            for prefix in prefixes:
                self._delete(prefix)
        except StorageUnavailable as error:
            log.warning("storage.not_removed", prefixes=prefixes[:MAX_TOLD], count=len(prefixes), error=error.told)

    def _delete(self, prefix: str) -> None:
        keys = [key for key, _ in self._bucket.keys(prefix)]
        for start in range(0, len(keys), DELETED_AT_ONCE):
            self._bucket.delete(keys[start : start + DELETED_AT_ONCE])

    def share(self, prefix: str, name: str) -> None:
        """Send it, in the place of those that were shared before; it stays where it is too."""
        before = [key for key, _ in self._bucket.keys(prefix)]
        own = f"{prefix}/{name}"
        self._sender.put(self.path(own), own, {})
        self._bucket.delete([key for key in before if key != own])

    def shared(self, prefix: str) -> list[str]:
        """Ask the store."""
        return sorted(key.removeprefix(f"{prefix}/") for key, _ in self._bucket.keys(prefix))

    def take(self, prefix: str, name: str) -> None:
        """Fetch it, complete before it stands under its name."""
        key = f"{prefix}/{name}"
        target = self.path(key)
        size = self._bucket.size(key)
        if size is None:
            raise FileNotFoundError(2, "it is not shared any more", name)
        self.check_room(size)
        with self.incoming() as folder:
            partial = folder / "part"
            with partial.open("wb") as file:
                for chunk in self._bucket.read(key, 0, size):
                    file.write(chunk)
            target.parent.mkdir(parents=True, exist_ok=True)
            partial.replace(target)

    def try_out(self) -> None:
        """Try the bucket."""
        self._once.try_out()

    def signed(self, key: str) -> str | None:
        """Return a presigned address, where the settings want downloads to go there."""
        if self._signer is None or self._signing is None:
            return None
        return self._signer.sign(key, self._signing[1])

    def _changes(self, prefix: str) -> Iterator[datetime]:
        for root in (self.path(prefix), self._root / "cache" / prefix):
            for path in root.rglob("*") if root.is_dir() else ():
                yield datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _attributes(key: str) -> dict[str, str]:
    """Return what a client is told that has the file from the store itself: the same as from us."""
    name = PurePosixPath(key).name
    return {"Content-Type": media_type(name), "Content-Disposition": disposition(name)}

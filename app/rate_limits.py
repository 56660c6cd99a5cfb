"""How often one may ask: a moving window of requests for each key, and for each address without a key that counts.

In Redis where that is the broker, so that all processes of the API count together; else in this process. A Redis that
is away costs no request more than a moment: it is counted here until it is back.
"""

from __future__ import annotations

import ipaddress
import math
import threading
import time
import zlib
from importlib import import_module
from urllib.parse import urlsplit

import structlog
from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from app.errors import RateLimited
from app.settings import Settings

log = structlog.get_logger()

ANSWER_SECONDS = 0.25
"""Redis answers within a millisecond; one that takes this long is away."""
AWAY_SECONDS = 15
"""How long Redis is not asked again after it was away."""
ADDRESSES = 1024
"""Counters that addresses share, whatever their number: a flood from many fills no memory."""


class RateLimits:
    """Counts requests and refuses those beyond the limit."""

    def __init__(self, settings: Settings) -> None:
        self._limit: RateLimitItem | None = parse(settings.rate_limit) if settings.rate_limit else None
        self._here = MovingWindowRateLimiter(MemoryStorage())
        self._shared = _shared(settings) if self._limit else None
        self._lock = threading.Lock()
        self._away_until: float | None = None

    def count(self, who: str) -> None:
        """Count a request of a key or an address. Raises RateLimited beyond the limit."""
        if self._limit is None:
            return
        if self._shared is not None and not self._is_away():
            try:
                self._count(self._shared, self._limit, who)
            except StorageError as error:
                self._went_away(error)
            else:
                self._came_back()
                return
        self._count(self._here, self._limit, who)

    def _count(self, limiter: MovingWindowRateLimiter, limit: RateLimitItem, who: str) -> None:
        if limiter.hit(limit, who):
            return
        window = limiter.get_window_stats(limit, who)
        seconds = max(1, math.ceil(window.reset_time - time.time()))
        raise RateLimited(
            f"more than {limit.amount:,} requests in {limit.get_expiry():,} s; come again in {seconds} s",
            limit.amount,
            limit.get_expiry(),
            seconds,
        )

    def _is_away(self) -> bool:
        return self._away_until is not None and time.monotonic() < self._away_until

    def _went_away(self, error: StorageError) -> None:
        with self._lock:
            first, self._away_until = self._away_until is None, time.monotonic() + AWAY_SECONDS
        if first:
            log.warning("rate_limits.redis_away", error=type(error.storage_error).__name__, counted="in this process")

    def _came_back(self) -> None:
        if self._away_until is None:
            return
        with self._lock:
            first, self._away_until = self._away_until is not None, None
        if first:
            log.info("rate_limits.redis_back")


def of_address(host: str | None) -> str:
    """Return the counter of an address. Of IPv6 the network counts: one machine has all addresses of a /64."""
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        told = host or ""
    else:
        told = str(ipaddress.ip_network((address, 64), strict=False) if address.version == 6 else address)
    return f"address:{zlib.crc32(told.encode()) % ADDRESSES}"


def _shared(settings: Settings) -> MovingWindowRateLimiter | None:
    """Return a limiter that counts in the broker's Redis; None where the broker is something else."""
    url = settings.broker or ""
    if urlsplit(url).scheme not in ("redis", "rediss"):
        return None
    shared: MovingWindowRateLimiter = import_module("app.redis_limits").limiter(url, ANSWER_SECONDS)
    return shared

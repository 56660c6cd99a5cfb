"""Rate limits that are counted in Redis; by itself, because its client takes 8 MiB and most services have no Redis."""

from __future__ import annotations

import redis
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis.backoff import NoBackoff
from redis.retry import Retry


def limiter(url: str, answer_seconds: float) -> MovingWindowRateLimiter:
    """Return a limiter whose Redis is asked once, and waited for so long."""
    pool = redis.ConnectionPool.from_url(
        url, socket_timeout=answer_seconds, socket_connect_timeout=answer_seconds, retry=Retry(NoBackoff(), 0)
    )
    storage = RedisStorage(url, connection_pool=pool, key_prefix="fastmtl:rate", wrap_exceptions=True)
    return MovingWindowRateLimiter(storage)

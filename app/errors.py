"""What the service refuses, as problem+json (RFC 9457); the one registry of statuses.

ApiError                     everything below; carries status, slug and title
├── Unauthorized             401  no key, or one that does not count
├── Forbidden                403  a key that may not do this
├── HubOff                   403  the deployment fetches nothing from the hub
├── QuotaExceeded            403  the tenant keeps as much as it may
│   └── TooManyJobs          429  as many of its jobs are not over as may be
├── RateLimited              429  more requests than may come in a while
├── NotFound                 404  no such dataset, job, artifact or key
├── Conflict                 409  the state of the thing does not allow it
├── NotAcceptable            406  no format that the client accepts
├── Gone                     410  it was there and is not any more
├── BodyTooLarge             413  more bytes than one upload may have
├── BrokenUpload             400  the body ended early, or is no form
├── RangeNotSatisfiable      416  the file has none of the bytes that Range asks for
├── BadIdempotencyKey        400  no key as the header has them
├── KeyReused                422  the key stands for another request
├── InFlight                 409  the first request under the key is still being answered
├── AnswerNotKept            409  it was done, but its answer cannot be given again
├── TooManyStreams           429  the tenant follows as many jobs at once as it may
├── Busy                     503  the process does as much at once as it may
├── Stalled                  408  the body stopped coming
├── DigestMismatch           422  what came is not what was declared
├── DiskFull                 507  nothing was kept
├── Locked                   423  another request is writing to the upload
├── ChecksumMismatch         460  a part is not what was declared (tus)
├── UnknownTusVersion        412  another version of the protocol (tus)
├── WrongMediaType           415  a part says that it is something else (tus)
├── KeptProblem              ...  what an upload was refused for, told again
└── NotReady                 503  the service cannot work; says which part of it
Errors of `fastmtl.errors` are given their status in STATUS.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from fastmtl.errors import (
    BudgetTooLarge,
    FastMTLError,
    HubUnavailable,
    InvalidConfig,
    InvalidDataset,
    NotOnHub,
    UnknownName,
)

Json = dict[str, Any]
MEDIA_TYPE = "application/problem+json"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The disk is full, its owner's share of it is, or the file system takes no file so large."""


class ApiError(Exception):
    """The service refuses a request."""

    status = 400
    slug = "bad-request"
    title = "The request cannot be answered"
    members: Mapping[str, object] = MappingProxyType({})
    """What the body says besides."""

    def __init__(self, detail: str, errors: Sequence[Json] = (), headers: dict[str, str] | None = None) -> None:
        self.detail = detail
        self.errors = list(errors)
        self.headers = headers
        super().__init__(detail)


class Unauthorized(ApiError):
    """There is no key, or it does not count."""

    status, slug, title = 401, "unauthorized", "A key is needed"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(ApiError):
    """The key may not do this."""

    status, slug, title = 403, "forbidden", "Not with this key"


class HubOff(ApiError):
    """The operator does not let the service fetch from the hub."""

    status, slug, title = 403, "hub-off", "The hub is not asked from here"


class QuotaExceeded(ApiError):
    """The tenant has as much as it may have; `field` is what of: bytes, rows or live_jobs."""

    status, slug, title = 403, "quota-exceeded", "More than the quota"

    def __init__(self, detail: str, field: str, used: int, limit: int, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail, [{"message": detail, "field": field, "used": used, "limit": limit}], headers)


class TooManyJobs(QuotaExceeded):
    """As many jobs of the tenant are not over as may be: one of them has to end first."""

    status = 429

    def __init__(self, detail: str, used: int, limit: int, retry_seconds: int) -> None:
        super().__init__(detail, "live_jobs", used, limit, {"Retry-After": str(retry_seconds)})


class RateLimited(ApiError):
    """More requests than the limit came within its window; `seconds` until there is room again."""

    status, slug, title = 429, "rate-limited", "Too many requests"

    def __init__(self, detail: str, limit: int, window: int, seconds: int) -> None:
        told = {
            "Retry-After": str(seconds),
            # draft-ietf-httpapi-ratelimit-headers-10
            "RateLimit-Policy": f'"requests";q={limit};w={window}',
            "RateLimit": f'"requests";r=0;t={seconds}',
        }
        super().__init__(detail, headers=told)


class NotFound(ApiError):
    """There is nothing by that id or name."""

    status, slug, title = 404, "not-found", "Not found"


class Conflict(ApiError):
    """The state of the thing does not allow it."""

    status, slug, title = 409, "conflict", "Not in this state"


class NotAcceptable(ApiError):
    """None of the formats is one that the client accepts."""

    status, slug, title = 406, "not-acceptable", "No acceptable format"


class BodyTooLarge(ApiError):
    """The body has more bytes than one upload may have."""

    status, slug, title = 413, "body-too-large", "The body is too large"


class BrokenUpload(ApiError):
    """The body ended early, or is not the form that it says it is."""

    status, slug, title = 400, "broken-upload", "The upload is broken"


class RangeNotSatisfiable(ApiError):
    """The file has none of the bytes that Range asks for."""

    status, slug, title = 416, "range-not-satisfiable", "No such part"

    def __init__(self, length: int) -> None:
        told = f"it has {length:,} bytes, and Range asks for none of them"
        super().__init__(told, headers={"Content-Range": f"bytes */{length}"})


class BadIdempotencyKey(ApiError):
    """The Idempotency-Key is none."""

    status, slug, title = 400, "bad-idempotency-key", "The Idempotency-Key is none"


class KeyReused(ApiError):
    """The Idempotency-Key stands for another request."""

    status, slug, title = 422, "idempotency-key-reused", "The Idempotency-Key stands for another request"


class InFlight(ApiError):
    """The first request under the Idempotency-Key is still being answered."""

    status, slug, title = 409, "in-flight", "Still being answered"

    def __init__(self) -> None:
        told = "the first request under this Idempotency-Key is still being answered; ask again in a moment"
        super().__init__(told, headers={"Retry-After": "1"})


class AnswerNotKept(ApiError):
    """What was asked for under the Idempotency-Key was done, but the answer holds a secret and was given once."""

    status, slug, title = 409, "answer-not-kept", "The answer was given once"


class TooManyStreams(ApiError):
    """The tenant follows as many jobs at once as it may."""

    status, slug, title = 429, "too-many-streams", "Too many streams"


class Busy(ApiError):
    """The process does as much at once as it may, or is about to stop."""

    status, slug, title = 503, "unavailable", "Not available now"


class Gone(ApiError):
    """It was there and is not any more."""

    status, slug, title = 410, "gone", "Not there any more"


class Stalled(ApiError):
    """No more of the body came for a while."""

    status, slug, title = 408, "stalled", "The upload stopped"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"Connection": "close"})


class DigestMismatch(ApiError):
    """What came has another digest than was declared; nothing was kept."""

    status, slug, title = 422, "digest-mismatch", "Not what was declared"


class DiskFull(ApiError):
    """There is no room for the file; nothing was kept."""

    status, slug, title = 507, "disk-full", "No room left"


class Locked(ApiError):
    """Another request is writing to the upload."""

    status, slug, title = 423, "locked", "Being written"

    def __init__(self, detail: str, retry_after_seconds: int) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_seconds)})


class ChecksumMismatch(ApiError):
    """A part of an upload has another checksum than was declared; none of it was kept. The status is the protocol's."""

    status, slug, title = 460, "checksum-mismatch", "Not what was declared"


class UnknownTusVersion(ApiError):
    """The client speaks another version of the protocol."""

    status, slug, title = 412, "unknown-tus-version", "Another version of tus"


class WrongMediaType(ApiError):
    """The part of an upload says that it is something else."""

    status, slug, title = 415, "wrong-media-type", "Not the media type of a part"


class KeptProblem(ApiError):
    """Why an upload was refused, as it was told when its last byte came."""

    def __init__(self, problem: Json) -> None:
        super().__init__(problem["detail"], problem.get("errors", ()))
        self.status, self.title = problem["status"], problem["title"]
        self.slug = problem["type"].rpartition(":")[2]


class NotReady(ApiError):
    """A part of the service does not work; the body's members say which."""

    status, slug, title = 503, "not-ready", "The service is not ready"

    def __init__(self, detail: str, members: Mapping[str, object]) -> None:
        super().__init__(detail)
        self.members = members


STATUS: tuple[tuple[type[FastMTLError], int, str, str], ...] = (
    (InvalidDataset, 422, "invalid-dataset", "The file cannot become a dataset"),
    (BudgetTooLarge, 422, "budget-too-large", "More rows than are eligible"),
    (UnknownName, 422, "unknown-name", "Unknown name"),
    (InvalidConfig, 422, "invalid-config", "The job cannot be run"),
    (NotOnHub, 422, "not-on-hub", "Not on the hub"),
    (HubUnavailable, 502, "hub-unavailable", "The hub cannot be reached"),
    (FastMTLError, 422, "unprocessable", "This cannot be done"),
)

"""What can go wrong between a program and the service, one class a kind.

ClientError                  everything below; `str(error)` is a sentence for the user
├── ServiceError             the service refused; `problem` is its answer (RFC 9457), `status` its status
│   ├── Invalid              400, 406, 413, 415, 422 ...  the request or the file is wrong; `errors` say where
│   ├── Unauthorized         401        no key, or one that does not count
│   ├── Forbidden            403        the key may not do this, or the tenant keeps as much as it may
│   ├── NotFound             404, 410   no such dataset, job or file, or not any more
│   ├── Conflict             409, 423   the state of the thing does not allow it
│   ├── TooManyRequests      429        `retry_after` seconds, then again
│   └── Unavailable          502, 503, 504, 507   not now; `retry_after` where it was told
│       └── Unreachable      no answer came at all
├── JobFailed                the job failed or was cancelled; `job` is its last state
├── JobNotOver               the job was not over in time; `job` is its last state
└── MissingPackage           an optional package is needed; says which and how to install it
A download whose bytes are not those that were told raises `fastmtl.errors.DamagedArtifact`. Torch-free.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from fastmtl.errors import Problem
from fastmtl.plan import Json
from fastmtl.transfer import told_to_wait


class ClientError(Exception):
    """Something went wrong between the program and the service."""


class ServiceError(ClientError):
    """The service refused; `problem` is its answer in the form of RFC 9457."""

    def __init__(self, problem: Json, retry_after: float | None = None) -> None:
        self.problem = problem
        self.retry_after = retry_after
        """Seconds to wait before the same is tried again; None where that was not told."""
        told = str(problem.get("detail") or problem.get("title") or "the service refused")
        details = [str(each.get("message", each)) for each in problem.get("errors", [])]
        super().__init__(": ".join([told, *(each for each in details if each not in told)]))

    @property
    def status(self) -> int | None:
        """The HTTP status; None where no answer came."""
        found: int | None = self.problem.get("status")
        return found

    @property
    def kind(self) -> str:
        """The last part of the problem's type: `not-found`, `invalid-dataset` ..."""
        return str(self.problem.get("type", "")).rpartition(":")[2]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Everything that is wrong, with field, row and line where the service named them."""
        known = ("message", "field", "row", "line")
        found = self.problem.get("errors", [])
        return tuple(Problem(**{key: each[key] for key in known if key in each}) for each in found)


class Invalid(ServiceError):
    """The request, or the file, is wrong."""


class Unauthorized(ServiceError):
    """There is no key, or one that does not count."""


class Forbidden(ServiceError):
    """The key may not do this, or the tenant keeps as much as it may."""


class NotFound(ServiceError):
    """There is no such dataset, job or file, or not any more."""


class Conflict(ServiceError):
    """The state of the thing does not allow it."""


class TooManyRequests(ServiceError):
    """More than may come in a while, or be open at once."""


class Unavailable(ServiceError):
    """The service, or the disk under it, cannot do it now."""


class Unreachable(Unavailable):
    """No answer came: the connection failed, was cut too often, or took too long."""


class JobFailed(ClientError):
    """The job failed or was cancelled; `job` is its last state."""

    def __init__(self, job: object, told: str) -> None:
        self.job = job
        super().__init__(told)


class JobNotOver(ClientError, TimeoutError):
    """The job was not over in time; `job` is its last state, and it goes on."""

    def __init__(self, job: object, told: str) -> None:
        self.job = job
        super().__init__(told)


class MissingPackage(ClientError, ImportError):
    """An optional package is needed for this; the message says how to install it."""


_BY_STATUS: dict[int, type[ServiceError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: NotFound,
    423: Conflict,
    429: TooManyRequests,
    **dict.fromkeys((502, 503, 504, 507), Unavailable),
}


def refusal(response: httpx2.Response) -> ServiceError:
    """Return the service's problem, or one made of the status where another server answered."""
    status = response.status_code
    try:
        told = response.json()
    except ValueError:
        told = None
    problem = told if isinstance(told, dict) else {"title": f"HTTP {status}"}
    kind = _BY_STATUS.get(status, Invalid if 400 <= status < 500 else ServiceError)
    return kind({"status": status, **problem}, told_to_wait(response))


def body(response: httpx2.Response) -> Json:
    """Return the answer. Raises the ServiceError of a refusal."""
    if response.is_error:
        raise refusal(response)
    try:
        told: Json = response.json()
    except json.JSONDecodeError as error:
        found = f"an answer was expected as JSON and came as {response.headers.get('Content-Type', 'something else')}"
        raise ServiceError({"detail": f"{found}: is this the address of the service?"}) from error
    return told


@contextmanager
def reaching(url: str) -> Iterator[None]:
    """Raise Unreachable in the place of the transport's own errors."""
    try:
        yield
    except httpx2.TransportError as error:
        reason = str(error) or type(error).__name__
        told = f"the service at {url} cannot be reached: {reason}. Is it running there (`fastmtl serve`)?"
        if isinstance(error, httpx2.ReadTimeout):
            told = f"the service at {url} took longer to answer than was waited for"
        raise Unreachable({"title": "The service cannot be reached", "detail": told}) from error

"""What the command ends with, one number a kind of error; docs/command.md shows them as a table."""

from __future__ import annotations

from enum import IntEnum

from fastmtl.client import (
    ClientError,
    Conflict,
    Forbidden,
    Invalid,
    JobFailed,
    JobNotOver,
    MissingPackage,
    NotFound,
    ServiceError,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from fastmtl.errors import DamagedArtifact, FastMTLError, HubUnavailable, NotOnHub


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    FAILED = 1
    """Something went wrong that is not the user's: a fault of ours, a check that failed."""
    USAGE = 2
    """An option, a file or a setting is wrong, and the message says how."""
    NOT_FOUND = 3
    REFUSED = 4
    """By the key: there is none, it does not count, may not do this, or the quota is used up."""
    UNAVAILABLE = 5
    """The service or the hub cannot be reached, is busy, or asks to come later."""
    JOB_FAILED = 6
    """The job failed or was cancelled."""
    CONFLICT = 7
    """The state of the thing does not allow it."""
    NOT_OVER = 8
    """The job was not over in the time that was given."""
    INTERRUPTED = 130


_OF: tuple[tuple[type[BaseException], Exit], ...] = (
    (NotFound, Exit.NOT_FOUND),
    (Unauthorized, Exit.REFUSED),
    (Forbidden, Exit.REFUSED),
    (Unavailable, Exit.UNAVAILABLE),
    (TooManyRequests, Exit.UNAVAILABLE),
    (Conflict, Exit.CONFLICT),
    (Invalid, Exit.USAGE),
    (ServiceError, Exit.FAILED),
    (JobFailed, Exit.JOB_FAILED),
    (JobNotOver, Exit.NOT_OVER),
    (MissingPackage, Exit.USAGE),
    (ClientError, Exit.FAILED),
    (NotOnHub, Exit.NOT_FOUND),
    (HubUnavailable, Exit.UNAVAILABLE),
    (DamagedArtifact, Exit.FAILED),
    (FastMTLError, Exit.USAGE),
    (ValueError, Exit.USAGE),
    (OSError, Exit.USAGE),
    (KeyboardInterrupt, Exit.INTERRUPTED),
)
KINDS = tuple(dict.fromkeys(kind for kind, _ in _OF))
"""What a command answers with a sentence; anything else is a fault of ours."""


def exit_of(error: BaseException) -> Exit:
    """Return what a command ends with that ran into an error."""
    return next((found for kind, found in _OF if isinstance(error, kind)), Exit.FAILED)

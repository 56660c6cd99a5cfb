"""How the processes log: a line an event on standard error, in UTC; traces without the values of variables.

Local variables hold users' rows, and those belong in no log.
"""

from __future__ import annotations

import sys

import structlog


def configure() -> None:
    """Set it for this process."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )

"""How the processes log: one line an event on standard error, in UTC; traces without the values of variables.

Our own events and those of libraries (uvicorn, Celery, SQLAlchemy, warnings) go through the same renderer. Lines say
which request, job, step and tenant they are about: whoever works on one binds its ids with structlog's contextvars.
Local variables hold users' rows, and those belong in no log; nor do keys and passwords, which are cut out of every line
however they came there.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor

Format = Literal["console", "json"]
Level = Literal["debug", "info", "warning", "error"]

OURS = "fastmtl"
"""The logger of our own events."""
AS_LOUD_AS_OURS = (OURS, "uvicorn", "py.warnings")
"""All other libraries speak from warnings on: below that some tell URLs, statements and messages."""
HANDED_ON = "FASTMTL_LOG_CONTEXT"
CARRIED = "request_id"
SECRETS = (
    (re.compile(r"\bfastmtl_[0-9A-Za-z]{12}_[0-9A-Za-z]{20,}"), "fastmtl_[cut]"),
    (re.compile(r"\bfastmtl-session\.[\w-]{20,}"), "fastmtl-session.[cut]"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), r"\1 [cut]"),
    (re.compile(r"://([^\s:/@\"']*):[^\s/@\"']+@"), r"://\1:[cut]@"),
)
"""API keys, tokens of the page's sessions, Authorization headers, passwords in URLs."""

Fields = Callable[[], Mapping[str, object]]
MORE: ContextVar[Fields | None] = ContextVar("fastmtl_log_fields", default=None)
"""What else to say in every line; asked when the line is written, for what is known only after the beginning."""


def configure(log_format: Format | None = None, level: Level = "info") -> None:
    """Set it for this process; the format's default is `console` on a terminal, else `json`."""
    console = log_format == "console" or (log_format is None and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_more,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: logging.getLogger(OURS),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _add_logger],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(_for_people() if console else _for_machines()),
                _cut_secrets,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    number = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(number, logging.WARNING))
    for name in AS_LOUD_AS_OURS:
        logging.getLogger(name).setLevel(number)
    logging.captureWarnings(True)


def carried() -> dict[str, str]:
    """Return what a message to a worker takes along: the id of the request that it comes from, where there is one."""
    request_id = structlog.contextvars.get_contextvars().get(CARRIED)
    return {CARRIED: request_id} if isinstance(request_id, str) else {}


def handed_on() -> dict[str, str]:
    """Return the environment that tells a child process what its lines are about."""
    return {HANDED_ON: json.dumps(structlog.contextvars.get_contextvars(), default=str)}


def take_over() -> None:
    """Say in every line of this process what the one that started it handed on."""
    structlog.contextvars.bind_contextvars(**json.loads(os.environ.get(HANDED_ON, "{}")))


def _for_people() -> list[Processor]:
    return [
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
    ]


def _for_machines() -> list[Processor]:
    return [structlog.processors.format_exc_info, _order, structlog.processors.JSONRenderer(ensure_ascii=False)]


def _order(_logger: Any, _method: str, event: EventDict) -> EventDict:  # noqa: ANN401 - structlog's own signature
    """Put first what every line has: people read them too."""
    first: EventDict = {name: event.pop(name) for name in ("timestamp", "level", "event")}
    return {**first, **event}


def _add_more(_logger: Any, _method: str, event: EventDict) -> EventDict:  # noqa: ANN401
    more = MORE.get()
    return {**more(), **event} if more else event


def _add_logger(_logger: Any, _method: str, event: EventDict) -> EventDict:  # noqa: ANN401
    event["logger"] = event["_record"].name
    return event


def _cut_secrets(_logger: Any, _method: str, line: Any) -> str:  # noqa: ANN401
    """Cut keys and passwords out of the finished line."""
    for pattern, instead in SECRETS:
        line = pattern.sub(instead, line)
    return str(line)

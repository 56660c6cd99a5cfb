"""Bodies of the service's own signs of life."""

from __future__ import annotations

from pydantic import Field

from app.fields import Record
from app.schemas import Problem


class Health(Record):
    """That it answers."""

    status: str = Field(description="`ok`.", max_length=20, examples=["ok"])


class CheckOut(Record):
    """How the trial of one part went."""

    ok: bool = Field(description="Whether it works.")
    milliseconds: float = Field(description="How long the trial took.", ge=0, examples=[1.4])
    detail: str = Field(description="`ok`, or what is wrong.", max_length=200, examples=["ok"])


class Ready(Record):
    """That all parts work."""

    status: str = Field(description="`ok`.", max_length=20, examples=["ok"])
    checks: dict[str, CheckOut] = Field(
        description="By part: `database`, `storage`, `broker`.",
        examples=[{"database": {"ok": True, "milliseconds": 1.4, "detail": "ok"}}],
    )
    workers: int | None = Field(
        description="Workers whose sweep of the database ended well within the last few seconds, busy or idle; null if "
        "that cannot be told. The service is ready without any: jobs wait.",
        ge=0,
        examples=[1],
    )


class NotReady(Problem):
    """Which parts do not work."""

    checks: dict[str, CheckOut] = Field(
        description="By part: `database`, `storage`, `broker`.",
        examples=[{"database": {"ok": False, "milliseconds": 2000.6, "detail": "no answer within 2 s"}}],
    )
    workers: int | None = Field(description="As when it is ready.", ge=0, examples=[1])

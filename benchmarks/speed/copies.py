"""Many jobs in a PostgreSQL database, made of a few that were submitted: the database copies their rows.

A copy has ids and fingerprints of its own and else all that its original has: the row of the job, its datasets, its
log, its steps and their needs. A step that several originals share stays one that the copies need too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Insert,
    Select,
    String,
    Uuid,
    bindparam,
    case,
    cast,
    create_engine,
    func,
    insert,
    select,
    text,
    true,
)
from sqlalchemy.orm import InstrumentedAttribute

from app.models import Base, Event, Job, JobDataset, JobStep, Step, StepNeed

COPIES = func.generate_series(1, bindparam("copies")).table_valued("number").render_derived("copies")
Column = InstrumentedAttribute[Any]


def multiply(url: str, times: int) -> list[str]:
    """Let every job be there `times` times and tell the planner; return the ids of all jobs."""
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in _statements():
            connection.execute(statement, {"copies": times - 1})
        connection.execute(text("ANALYZE"))
        found = [str(each) for each in connection.scalars(select(Job.id))]
    engine.dispose()
    return found


def _statements() -> Iterator[Insert]:
    """Yield what copies each table, those first that others refer to; job_steps last, for it tells which are shared."""
    yield _copied(Job, id=_anew(Job.id))
    digest = func.sha256(func.convert_to(_numbered(Step.fingerprint), "UTF8"))
    ids = {"id": _anew(Step.id), "line": _anew(Step.line)}
    yield _copied(Step, Step.id.in_(_own()), **ids, fingerprint=func.encode(digest, "hex"))
    needs = {"step_id": _anew(StepNeed.step_id), "needs_id": _anew_if_own(StepNeed.needs_id)}
    yield _copied(StepNeed, StepNeed.step_id.in_(_own()), **needs)
    for table in (JobDataset, Event):
        yield _copied(table, job_id=_anew(table.job_id))
    yield _copied(JobStep, job_id=_anew(JobStep.job_id), step_id=_anew_if_own(JobStep.step_id))


def _copied(table: type[Base], *which: ColumnElement[bool], **instead: ColumnElement[Any]) -> Insert:
    """Insert every row, or those of them, again and again, with other values in some columns."""
    columns = table.__table__.columns
    rows = select(*(instead.get(each.name, each) for each in columns))
    rows = rows.select_from(table.__table__.join(COPIES, true())).where(*which)
    return insert(table).from_select([each.name for each in columns], rows)


def _own() -> Select[Any]:
    """Return the ids of the steps that one job alone has."""
    return select(JobStep.step_id).group_by(JobStep.step_id).having(func.count() == 1)


def _anew(column: Column) -> ColumnElement[Any]:
    return cast(func.md5(_numbered(column)), Uuid)


def _anew_if_own(column: Column) -> ColumnElement[Any]:
    return case((column.in_(_own()), _anew(column)), else_=column)


def _numbered(column: Column) -> ColumnElement[str]:
    """Return the text of a value with the number of the copy."""
    return cast(column, String) + "/" + cast(COPIES.c.number, String)

"""Whose turn it is: the one statement that says which step a free worker takes.

Queued steps stand in lines, one a job. Of the lines' first steps that one is taken whose

    tenant      has the fewest running steps, and then waits longest since one of its steps was begun
    job         has the highest priority, then the fewest running steps, then waits longest
    step        is the most urgent, then the oldest

So a tenant with one small job has its turn beside one with large ones, and so has a small job beside its tenant's large
one, on many workers and on a single one; what a job's priority changes is the order among its tenant's own.

The statement reads an index entry for each line and for each running step, and never those of steps that wait behind
the first of their line or are over: what a claim costs goes with the live jobs and workers, not with the steps.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

from sqlalchemy import CTE, Boolean, ScalarSelect, func, literal, select, union_all
from sqlalchemy.orm import InstrumentedAttribute, aliased

from app.models import Status, Step

Takes = Literal["all", "cpu", "gpu"]
KINDS: dict[Takes, tuple[bool, ...]] = {"all": (False, True), "cpu": (False,), "gpu": (True,)}
"""Which steps a worker takes: those that need a device, those that do not, or both."""


@cache
def next_step(takes: Takes) -> ScalarSelect[uuid.UUID]:
    """Return a query for the id of the step whose turn it is; no row where none is queued that is taken here."""
    head, firsts = aliased(Step), _firsts(_lines(KINDS[takes]))
    running = _running()
    of_tenant = select(running.c.tenant_id, func.sum(running.c.steps).label("steps"))
    busy = of_tenant.group_by(running.c.tenant_id).cte("busy_tenants")
    of_tenant_begun, of_line_begun = aliased(Step), aliased(Step)
    tenant_begun = select(func.max(of_tenant_begun.started_at)).where(of_tenant_begun.tenant_id == head.tenant_id)
    line_begun = select(func.max(of_line_begun.started_at)).where(of_line_begun.line == head.line)
    return (
        select(head.id)
        .join(firsts, firsts.c.id == head.id)
        .outerjoin(busy, busy.c.tenant_id == head.tenant_id)
        .outerjoin(running, (running.c.tenant_id == head.tenant_id) & (running.c.line == head.line))
        .order_by(
            func.coalesce(busy.c.steps, 0),
            tenant_begun.correlate(head).scalar_subquery().nulls_first(),
            head.priority.desc(),
            func.coalesce(running.c.steps, 0),
            line_begun.correlate(head).scalar_subquery().nulls_first(),
            head.urgency,
            head.created_at,
            head.id,
        )
        .limit(1)
        .scalar_subquery()
    )


def _lines(kinds: Sequence[bool]) -> CTE:
    """Find the lines by leaps: from each the index leads to the next, whatever stands in between."""
    first, later = aliased(Step), aliased(Step)
    asked = union_all(*(select(literal(kind, Boolean).label("needs_device")) for kind in kinds)).subquery("kinds")
    begin = select(first.line).where(first.status == Status.QUEUED, first.needs_device == asked.c.needs_device)
    lines = select(
        asked.c.needs_device, begin.order_by(*_order(first)).limit(1).correlate(asked).scalar_subquery().label("line")
    ).cte("lines", recursive=True)
    leap = select(later.line).where(
        later.status == Status.QUEUED, later.needs_device == lines.c.needs_device, later.line > lines.c.line
    )
    following = leap.order_by(*_order(later)).limit(1).correlate(lines).scalar_subquery()
    return lines.union_all(select(lines.c.needs_device, following).where(lines.c.line.is_not(None)))


def _order(step: type[Step]) -> tuple[InstrumentedAttribute[Any], ...]:
    """Return the order in which only the index `steps_in_line` has steps: by `line` alone the planner took another."""
    return step.line, step.urgency, step.id


def _firsts(lines: CTE) -> CTE:
    """Return the id of each line's most urgent step."""
    step = aliased(Step)
    standing = select(step.id).where(
        step.status == Status.QUEUED, step.needs_device == lines.c.needs_device, step.line == lines.c.line
    )
    first = standing.order_by(*_order(step)).limit(1).correlate(lines).scalar_subquery()
    return select(first.label("id")).where(lines.c.line.is_not(None)).cte("firsts")


def _running() -> CTE:
    """Count the running steps of every line."""
    step = aliased(Step)
    counted = select(step.tenant_id, step.line, func.count().label("steps")).where(step.status == Status.RUNNING)
    return counted.group_by(step.tenant_id, step.line).cte("running")

"""What a job would take, told before it is submitted."""

from __future__ import annotations

from fastapi import APIRouter

from app.auth import Reader
from app.routes.answers import problems
from app.routes.route import ServiceRoute
from app.schemas import NewJob
from app.schemas_estimate import EstimateOut
from app.state import Parts
from app.submit import estimate

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=ServiceRoute)


@router.post(
    "/estimate", operation_id="estimate_job", summary="Estimate a job before it runs", responses=problems(400, 422)
)
def estimate_job(parts: Parts, caller: Reader, request: NewJob) -> EstimateOut:
    """Tell rows, tokens, seconds and memory that a job would take here, each with a band; nothing is submitted.

    The figures are reckoned from what finished steps took on this deployment. Steps that are done already, for another
    of your jobs, take nothing.
    """
    return estimate(parts.database, parts.settings, caller.tenant_id, request)

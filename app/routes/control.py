"""What can be done with a job or dataset that is there: cancel, pause, resume, retry, delete."""

from __future__ import annotations

from fastapi import APIRouter

from app import control
from app.auth import Writer
from app.routes.answers import problems
from app.routes.datasets import DatasetId
from app.routes.jobs import JobId
from app.routes.route import ServiceRoute
from app.schemas import JobOut, JobReceipt
from app.schemas_datasets import DatasetReceipt
from app.state import Parts
from app.views import show_job

router = APIRouter(prefix="/v1", tags=["jobs"], route_class=ServiceRoute)


@router.post(
    "/jobs/{job_id}/cancel",
    status_code=202,
    operation_id="cancel_job",
    summary="Cancel a job",
    responses=problems(404, 409, 422),
)
def cancel_job(parts: Parts, caller: Writer, job_id: JobId) -> JobOut:
    """Stop a job; what is done of it stays. Cancelling twice is the same as once."""
    control.cancel(parts.database, parts.jobs, caller.tenant_id, job_id)
    return show_job(parts.database, caller.tenant_id, job_id)


@router.post(
    "/jobs/{job_id}/pause",
    status_code=202,
    operation_id="pause_job",
    summary="Pause a job",
    responses=problems(404, 409, 422),
)
def pause_job(parts: Parts, caller: Writer, job_id: JobId) -> JobOut:
    """Let a job rest; what is done of it stays, and a training begins again at its last checkpoint.

    Pausing twice is the same as once. A deadline is not moved by a pause.
    """
    control.pause(parts.database, parts.jobs, caller.tenant_id, job_id)
    return show_job(parts.database, caller.tenant_id, job_id)


@router.post(
    "/jobs/{job_id}/resume",
    status_code=202,
    operation_id="resume_job",
    summary="Resume a paused job",
    responses=problems(404, 409, 422),
)
def resume_job(parts: Parts, caller: Writer, job_id: JobId) -> JobOut:
    """Let a paused job go on. A job that is not resting is left alone."""
    control.resume(parts.database, parts.jobs, caller.tenant_id, job_id)
    return show_job(parts.database, caller.tenant_id, job_id)


@router.post(
    "/jobs/{job_id}/retry",
    status_code=202,
    operation_id="retry_job",
    summary="Retry a failed job",
    responses=problems(404, 409, 422),
)
def retry_job(parts: Parts, caller: Writer, job_id: JobId) -> JobOut:
    """Try a failed or cancelled job again, from the steps that did not succeed."""
    control.retry(parts.database, parts.jobs, parts.settings, caller.tenant_id, job_id)
    return show_job(parts.database, caller.tenant_id, job_id)


@router.delete("/jobs/{job_id}", operation_id="delete_job", summary="Delete a job", responses=problems(404, 409, 422))
def delete_job(parts: Parts, caller: Writer, job_id: JobId) -> JobReceipt:
    """Remove a job that is over, with its log, its files and all that was computed for it alone."""
    return control.delete_job(parts.database, parts.storage, parts.jobs, caller.tenant_id, job_id)


@router.delete(
    "/datasets/{dataset_id}",
    tags=["datasets"],
    operation_id="delete_dataset",
    summary="Delete a dataset",
    responses=problems(404, 409, 422),
)
def delete_dataset(parts: Parts, caller: Writer, dataset_id: DatasetId) -> DatasetReceipt:
    """Remove a dataset that no job has; delete the jobs first, and what was computed from it goes with them."""
    return control.delete_dataset(parts.database, parts.storage, caller.tenant_id, dataset_id)

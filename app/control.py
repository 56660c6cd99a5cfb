"""What a tenant asks of a job or dataset that is there: each refuses what its state does not allow."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from sqlalchemy import delete, select

from app.clock import now
from app.db import Database
from app.errors import Conflict, NotFound
from app.failpoints import reach
from app.jobs import Jobs
from app.models import Dataset, Job, JobDataset, PartialUpload, Status
from app.quotas import admit_job
from app.schemas import JobReceipt
from app.schemas_datasets import DatasetReceipt
from app.settings import Settings
from app.storage import Storage

MAX_NAMED = 10
"""Jobs that an answer names."""


def cancel(database: Database, jobs: Jobs, tenant_id: uuid.UUID, job_id: uuid.UUID) -> None:
    """Cancel a job; twice is the same as once. Raises NotFound, or Conflict where the job has come to its end."""
    _move(database, tenant_id, job_id, jobs.cancel, (Status.CANCELLED,), "cancelled any more")


def pause(database: Database, jobs: Jobs, tenant_id: uuid.UUID, job_id: uuid.UUID) -> None:
    """Let a job rest; twice is the same as once. Raises NotFound, or Conflict where the job has come to its end."""
    _move(database, tenant_id, job_id, jobs.pause, (Status.PAUSED,), "paused any more")


def resume(database: Database, jobs: Jobs, tenant_id: uuid.UUID, job_id: uuid.UUID) -> None:
    """Let a job go on; one that does is left alone. Raises NotFound, or Conflict where the job has come to its end."""
    going = (Status.QUEUED, Status.RUNNING, Status.SUCCEEDED)
    if _status(database, tenant_id, job_id) is Status.SUCCEEDED:
        raise Conflict("the job has succeeded; there is nothing to go on with")
    _move(database, tenant_id, job_id, jobs.resume, going, "resumed: retry it instead")


def retry(database: Database, jobs: Jobs, settings: Settings, tenant_id: uuid.UUID, job_id: uuid.UUID) -> None:
    """Try a failed or cancelled job again from where it stopped.

    Raises NotFound, Conflict where it did not fail, TooManyJobs.
    """
    before = _status(database, tenant_id, job_id)
    if before not in (Status.FAILED, Status.CANCELLED):
        raise Conflict(f"the job is {before}; only a failed or cancelled one can be retried")
    jobs.retry(job_id, lambda session: admit_job(session, settings, tenant_id))


def delete_job(database: Database, storage: Storage, jobs: Jobs, tenant_id: uuid.UUID, job_id: uuid.UUID) -> JobReceipt:
    """Remove a job that is over with all that only it has. Raises NotFound, Conflict.

    A process that ends between the commit and the removal of files leaves files that nothing refers to: the sweep of
    the storage removes those.
    """
    status = _status(database, tenant_id, job_id)
    receipt = jobs.delete(job_id)
    if receipt is None:
        raise Conflict(f"the job is {status}: cancel it first, then delete it")
    storage.delete_prefix(*(f"{kind}/{step_id}" for step_id in receipt.step_ids for kind in ("steps", "checkpoints")))
    return JobReceipt(
        id=receipt.job_id,
        deleted_at=receipt.deleted_at,
        steps=receipt.steps,
        files=receipt.artifacts,
        bytes=receipt.bytes,
        events=receipt.events,
        shared_steps=receipt.shared_steps,
    )


def delete_dataset(database: Database, storage: Storage, tenant_id: uuid.UUID, dataset_id: uuid.UUID) -> DatasetReceipt:
    """Remove a dataset that no job has. Raises NotFound, Conflict naming the jobs, StorageUnavailable."""
    stored_bytes = _stored_bytes(database, storage, tenant_id, dataset_id)
    with database.transaction() as session:
        dataset = session.get(Dataset, dataset_id, with_for_update=True)
        if dataset is None or dataset.tenant_id != tenant_id:
            raise NotFound(f"there is no dataset {dataset_id}")
        users = session.scalars(select(JobDataset.job_id).where(JobDataset.dataset_id == dataset_id)).all()
        if users:
            named = ", ".join(str(each) for each in users[:MAX_NAMED])
            raise Conflict(f"{len(users)} jobs have this dataset; delete them first: {named}")
        # Else its upload in parts would stand there as one that is not a dataset yet, and count.
        session.execute(delete(PartialUpload).where(PartialUpload.dataset_id == dataset_id))
        session.execute(delete(Dataset).where(Dataset.id == dataset_id))
    storage.delete_prefix(f"datasets/{dataset_id}")
    return DatasetReceipt(id=dataset_id, deleted_at=now(), rows=dataset.rows, bytes=stored_bytes)


def _stored_bytes(database: Database, storage: Storage, tenant_id: uuid.UUID, dataset_id: uuid.UUID) -> int:
    """Return the size of a dataset's file, asked for outside of any transaction: a store may take its time."""
    with database.reading() as session:
        dataset = session.get(Dataset, dataset_id)
    if dataset is None or dataset.tenant_id != tenant_id:
        return 0
    return storage.size(dataset.storage_key) or 0


def _move(
    database: Database,
    tenant_id: uuid.UUID,
    job_id: uuid.UUID,
    move: Callable[[uuid.UUID], Status],
    wanted: tuple[Status, ...],
    told: str,
) -> None:
    _status(database, tenant_id, job_id)
    status = move(job_id)
    reach("jobs.moved-not-answered")
    if status not in wanted:
        raise Conflict(f"the job is {status} and cannot be {told}")


def _status(database: Database, tenant_id: uuid.UUID, job_id: uuid.UUID) -> Status:
    """Return how a job stands. Raises NotFound where it is not the tenant's."""
    with database.reading() as session:
        job = session.get(Job, job_id)
        if job is None or job.tenant_id != tenant_id:
            raise NotFound(f"there is no job {job_id}")
        return Status(job.status)

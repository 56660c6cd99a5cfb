"""The service from Python: typed, torch-free, and knowing nothing of the service's own code.

client = Client("http://127.0.0.1:8000", key="fastmtl_...")
primary = client.upload("rte.csv")
auxiliary = [client.upload(path) for path in ("mnli.parquet", "qqp.tsv")]
job = client.submit(primary, auxiliary, config={"budget": 1000}).wait()
job.subset().to_pandas()

docs/client.md has an example of everything, run by the tests.
"""

from __future__ import annotations

from fastmtl.client.client import KEY_VARIABLE, URL_VARIABLE, Client, DatasetLike, JobLike
from fastmtl.client.errors import (
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
    Unreachable,
)
from fastmtl.client.http import IDEMPOTENCY_KEY
from fastmtl.client.jobs import FINAL, Job
from fastmtl.client.records import Artifact, Band, Dataset, Estimate, Event, Receipt, Step
from fastmtl.client.tables import Chosen, Nearest, Selection, Subset

__all__ = [
    "FINAL",
    "IDEMPOTENCY_KEY",
    "KEY_VARIABLE",
    "URL_VARIABLE",
    "Artifact",
    "Band",
    "Chosen",
    "Client",
    "ClientError",
    "Conflict",
    "Dataset",
    "DatasetLike",
    "Estimate",
    "Event",
    "Forbidden",
    "Invalid",
    "Job",
    "JobFailed",
    "JobLike",
    "JobNotOver",
    "MissingPackage",
    "Nearest",
    "NotFound",
    "Receipt",
    "Selection",
    "ServiceError",
    "Step",
    "Subset",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
    "Unreachable",
]

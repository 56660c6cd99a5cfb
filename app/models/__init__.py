"""The tables."""

from app.models.access import ApiKey, IdempotentAnswer, PageSession, PartialUpload, Tenant
from app.models.base import Base, Json, UtcDateTime
from app.models.telling import Event, Measurement, WebhookDelivery
from app.models.work import (
    DEFAULT_PRIORITY,
    LEAST_PRIORITY,
    MOST_PRIORITY,
    Artifact,
    Dataset,
    Job,
    JobDataset,
    JobStep,
    Role,
    Selection,
    Status,
    Step,
    StepNeed,
    Sweep,
)

__all__ = [
    "DEFAULT_PRIORITY",
    "LEAST_PRIORITY",
    "MOST_PRIORITY",
    "ApiKey",
    "Artifact",
    "Base",
    "Dataset",
    "Event",
    "IdempotentAnswer",
    "Job",
    "JobDataset",
    "JobStep",
    "Json",
    "Measurement",
    "PageSession",
    "PartialUpload",
    "Role",
    "Selection",
    "Status",
    "Step",
    "StepNeed",
    "Sweep",
    "Tenant",
    "UtcDateTime",
    "WebhookDelivery",
]

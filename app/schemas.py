"""Bodies of requests and answers; `JobConfig` is embedded unchanged."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from app import fields
from app.fields import ID_EXAMPLE, SHA256, Record
from app.models import DEFAULT_PRIORITY, LEAST_PRIORITY, MOST_PRIORITY, Role, Status
from app.schemas_estimate import JobEstimate
from fastmtl.config import JobConfig


class ProblemError(Record):
    """One thing that is wrong."""

    model_config = ConfigDict(extra="allow")

    message: str = fields.text("What is wrong, and what would be right.", "the text is empty", 2000)
    field: str | None = Field(None, description="The field or column, as the client wrote it.", examples=["label"])
    row: int | None = Field(None, ge=0, description="The data row of the file, counted from 0.", examples=[17])
    line: int | None = Field(None, ge=1, description="The line of the file, counted from 1.", examples=[19])
    known: list[str] | None = Field(None, description="What could be written there.", examples=[["top"]])


class Problem(Record):
    """An error, as RFC 9457 has it."""

    type: str = fields.text("Names the kind of problem.", "urn:fastmtl:problem:invalid-dataset")
    title: str = fields.text("The kind of problem in words.", "The file cannot become a dataset")
    status: int = Field(description="The HTTP status.", ge=400, le=599, examples=[422])
    detail: str = fields.text("What is wrong this time.", "row 3 (line 5), column 'label': the label is missing", 5000)
    errors: list[ProblemError] | None = Field(None, description="Everything that is wrong, where there is more to say.")


class NewJob(Record):
    """A selection job: which datasets, and how."""

    name: str = Field(
        "selection", min_length=1, max_length=200, description="A name for people.", examples=["rte, 1000"]
    )
    primary: uuid.UUID = fields.identifier("The dataset that rows are chosen for.")
    validation: uuid.UUID | None = Field(
        None,
        description="More rows of the primary, to measure on once; without it a part of the primary is held out.",
        examples=[ID_EXAMPLE],
    )
    auxiliary: list[uuid.UUID] = Field(
        description="The datasets that rows are chosen from.", min_length=1, max_length=1000, examples=[[ID_EXAMPLE]]
    )
    config: JobConfig = Field(JobConfig(), description="What decides the result; every field has a default.")
    priority: int | None = Field(
        None,
        ge=LEAST_PRIORITY,
        le=MOST_PRIORITY,
        description=f"Of your jobs the one with more goes first; without it {DEFAULT_PRIORITY}, or the most you may.",
        examples=[DEFAULT_PRIORITY],
    )
    deadline_seconds: float | None = Field(
        None,
        gt=0,
        le=366 * 86_400,
        description="The job fails if it is not over so long after it was posted; pauses count.",
        examples=[86_400],
    )
    webhook_url: str | None = Field(
        None,
        max_length=2000,
        description="Public https address that is told of the job's end, signed as Standard Webhooks has it.",
        examples=["https://example.com/hooks/fastmtl"],
    )


class JobDatasetOut(Record):
    """A dataset of a job."""

    id: uuid.UUID = fields.identifier("The dataset's id.")
    key: str = fields.text("What it is called in the job's files.", "mnli", 300)
    role: Role = Field(description="What it is to the job.", examples=["auxiliary"])
    name: str = fields.text("The dataset's name.", "mnli")
    rows: int = fields.count("Rows.", 25475)


class ProgressOut(Record):
    """How far a step is."""

    done: int = fields.count("Units done.", 1280)
    total: int = fields.count("Units in all.", 4000)
    unit: str = fields.text("What is counted.", "rows")
    message: str = fields.text("More, for people.", "epoch 1 of 3")
    per_second: float | None = Field(description="Units a second.", ge=0, examples=[52.5])
    seconds_left: float | None = Field(description="Estimated time left of the step, seconds.", examples=[51.8])


class StepOut(Record):
    """A step of a job."""

    id: uuid.UUID = fields.identifier("The step's id.")
    name: str = fields.text("Its name in the job.", "score 1/2", 300)
    kind: str = fields.text("What it does.", "score")
    status: Status = Field(description="How it stands.", examples=["running"])
    reused: bool = Field(description="Whether it was done before this job came.", examples=[False])
    attempts: int = fields.count("Attempts so far.", 1)
    progress: ProgressOut | None = Field(description="How far it is; null before it begins.")
    seconds: float | None = Field(description="How long it took, or runs already.", ge=0, examples=[12.5])
    error: JobError | None = Field(description="What went wrong in the last attempt.")


class JobError(Record):
    """Why a job or a step failed."""

    type: str = fields.text("Names the kind of error.", "encoder-unavailable")
    message: str = fields.text("What went wrong and what to do.", "the encoder's package is not installed", 5000)
    step: str | None = Field(None, description="The step it went wrong in.", examples=["discriminator"])
    field: str | None = Field(None, description="The setting to change.", examples=["config.encoder.max_length"])


class CountsOut(Record):
    """What was chosen of a dataset."""

    rows: int = fields.count("Rows of the dataset.")
    seen: int = fields.count("Rows that trained the method.", 500)
    leaked: int = Field(
        0, ge=0, description="Rows kept out because they also stand among the rows measured on.", examples=[3]
    )
    eligible: int = fields.count("Rows that could be chosen.", 500)
    selected: int = fields.count("Rows that were.", 120)
    share: float = fields.share("Share of the selection.")
    random_share: float = fields.share("Share of a random draw of as many rows, on average.")


class SelectionSummary(Record):
    """What a job chose."""

    budget: int = fields.count("Rows chosen.")
    digest: Annotated[str, SHA256]
    counts: dict[str, CountsOut] = Field(description="By dataset key.")


class JobLinks(Record):
    """Where to go on from here."""

    self: str = fields.text("This job.", f"/v1/jobs/{ID_EXAMPLE}")
    selection: str = fields.text("The chosen rows.", f"/v1/jobs/{ID_EXAMPLE}/selection")
    artifacts: str = fields.text("All its files.", f"/v1/jobs/{ID_EXAMPLE}/artifacts")
    events: str = fields.text("Its log.", f"/v1/jobs/{ID_EXAMPLE}/events")


class JobOut(Record):
    """A job as it stands."""

    id: uuid.UUID = fields.identifier("The job's id.")
    name: str = fields.text("Its name.", "rte, 1000")
    status: Status = Field(description="How it stands.", examples=["running"])
    config: JobConfig = Field(description="What decides the result, with every default written out.")
    priority: int = Field(
        description="Of the tenant's jobs the one with more goes first.",
        ge=LEAST_PRIORITY,
        le=MOST_PRIORITY,
        examples=[5],
    )
    created_at: datetime = fields.moment("When it was submitted.")
    started_at: datetime | None = fields.moment("When its first step began.")
    finished_at: datetime | None = fields.moment("When it was over.")
    deadline_at: datetime | None = fields.moment("When it fails if it is not over by then.")
    datasets: list[JobDatasetOut] = Field(description="Its datasets, the primary first.")
    steps: list[StepOut] = Field(description="Its steps, inputs before outputs.")
    progress: float = fields.share("Share of its work that is done, by cost.")
    seconds_left: float | None = Field(description="Estimated time left, seconds; null if unknown.", examples=[240.0])
    estimate: JobEstimate | None = Field(description="What was foretold of it; null where nothing was measured then.")
    selection: SelectionSummary | None = Field(description="What was chosen; null until it is.")
    error: JobError | None = Field(description="Why it failed.")
    links: JobLinks = Field(description="Where to go on.")


class JobPage(Record):
    """Some jobs, newest first."""

    items: list[JobOut] = Field(description="The jobs.")
    next_cursor: str | None = Field(description="Leads to the next page; null on the last.", examples=[None])


class JobReceipt(Record):
    """What was removed with a job."""

    id: uuid.UUID = fields.identifier("The job that is gone.")
    deleted_at: datetime = fields.moment("When it was removed.")
    steps: int = fields.count("Steps that were removed, what they had computed included.", 9)
    files: int = fields.count("Files that were removed.", 31)
    bytes: int = fields.count("Their size.", 91864192)
    events: int = fields.count("Entries of its log that were removed.", 40)
    shared_steps: int = fields.count("Steps that stay, for another job of yours has them too.", 0)


class SelectedRow(Record):
    """A chosen row."""

    rank: int = Field(description="Place, from 1, best first.", ge=1, examples=[1])
    dataset: str = fields.text("Key of its dataset.", "mnli", 300)
    dataset_id: uuid.UUID = fields.identifier("Id of its dataset.")
    row: int = fields.count("Row number in the uploaded file, from 0.", 18231)
    score: float = Field(description="Higher is more like the primary.", examples=[0.97])
    percentile: float | None = Field(
        None,
        ge=0,
        le=100,
        description="With explain: share of its dataset's rows, in percent, that score no higher.",
        examples=[99.8],
    )
    nearest: list[NearestRow] | None = Field(
        None,
        max_length=20,
        description="With explain: the primary's rows nearest to it, the nearest first.",
        examples=[[{"row": 17, "similarity": 0.84}]],
    )


class NearestRow(Record):
    """A row of the primary that a chosen one is near to."""

    row: int = fields.count("Row number in the primary's file, from 0.", 17)
    similarity: float = Field(description="Cosine in the frozen encoder's space.", ge=-1.01, le=1.01, examples=[0.84])


class SelectionOut(Record):
    """The chosen rows."""

    job: uuid.UUID = fields.identifier("The job's id.")
    budget: int = fields.count("Rows chosen.")
    digest: Annotated[str, SHA256]
    rows: list[SelectedRow] = Field(description="The rows, best first.")


class ArtifactOut(Record):
    """A file of a job."""

    name: str = fields.text("Its name, a path below the job's artifacts.", "model/model.safetensors", 500)
    bytes: int = fields.count("Its size.", 90864192)
    sha256: Annotated[str, SHA256]
    media_type: str = fields.text("What it is.", "application/octet-stream")
    href: str = fields.text("Where it is.", f"/v1/jobs/{ID_EXAMPLE}/artifacts/model/model.safetensors", 2000)


class ArtifactList(Record):
    """The files of a job."""

    items: list[ArtifactOut] = Field(description="The files, by name.")


class Options(Record):
    """What jobs can ask for here."""

    encoders: list[str] = Field(description="Encoders by name.", examples=[["all-MiniLM-L6-v2"]])
    methods: dict[str, str] = Field(
        description="Methods with a sentence each.", examples=[{"random": "A uniform draw."}]
    )
    selectors: dict[str, str] = Field(
        description="Selectors with a sentence each.", examples=[{"top": "The best of one pool."}]
    )
    settings: dict[str, dict[str, Any]] = Field(
        description="JSON Schema of what config.options takes, by the name of the method or selector.",
        examples=[{"embedding": {"properties": {"nearest": {"type": "integer", "minimum": 1}}}}],
    )
    presets: list[str] = Field(description="Presets by name.", examples=[["paper", "small"]])
    max_upload_bytes: int = fields.count("Largest upload, bytes.", 4294967296)
    defaults: JobConfig = Field(description="The config of a job that writes none.")

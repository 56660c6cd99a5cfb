"""Bodies of requests and answers; `JobConfig` is embedded unchanged."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from app.models import Role, Status
from fastmtl.config import JobConfig
from fastmtl.datasets import FileFormat, TaskKind

SHA256 = Field(
    description="SHA-256 in hex.", min_length=64, max_length=64, examples=["e3b0c44298fc1c149afbf4c8996fb924" * 2]
)
ID_EXAMPLE = "6f0e2f6c-3b0a-4c58-9a55-0f3d1b2c4d5e"
NO_CONTROLS = r"^[^\x00-\x1f\x7f]+$"
TIME_EXAMPLE = "2026-01-31T12:00:00Z"


class Record(BaseModel):
    """A body whose fields are all there is."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)


def _id(sentence: str) -> Any:  # noqa: ANN401 - pydantic's Field is untyped
    return Field(description=sentence, examples=[ID_EXAMPLE])


def _time(sentence: str) -> Any:  # noqa: ANN401
    return Field(description=sentence, examples=[TIME_EXAMPLE])


def _count(sentence: str, example: int = 1000) -> Any:  # noqa: ANN401
    return Field(description=sentence, ge=0, examples=[example])


def _share(sentence: str) -> Any:  # noqa: ANN401
    return Field(description=sentence, ge=0, le=1, examples=[0.25])


def _text(sentence: str, example: str, longest: int = 200) -> Any:  # noqa: ANN401
    return Field(description=sentence, max_length=longest, examples=[example])


class ProblemError(Record):
    """One thing that is wrong."""

    model_config = ConfigDict(extra="allow")

    message: str = _text("What is wrong, and what would be right.", "the text is empty", 2000)
    field: str | None = Field(None, description="The field or column, as the client wrote it.", examples=["label"])
    row: int | None = Field(None, ge=0, description="The data row of the file, counted from 0.", examples=[17])
    line: int | None = Field(None, ge=1, description="The line of the file, counted from 1.", examples=[19])
    known: list[str] | None = Field(None, description="What could be written there.", examples=[["top"]])


class Problem(Record):
    """An error, as RFC 9457 has it."""

    type: str = _text("Names the kind of problem.", "urn:fastmtl:problem:invalid-dataset")
    title: str = _text("The kind of problem in words.", "The file cannot become a dataset")
    status: int = Field(description="The HTTP status.", ge=400, le=599, examples=[422])
    detail: str = _text("What is wrong this time.", "row 3 (line 5), column 'label': the label is missing", 5000)
    errors: list[ProblemError] | None = Field(None, description="Everything that is wrong, where there is more to say.")


class UploadOptions(Record):
    """How an upload is to be read; what is None is inferred."""

    name: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        pattern=NO_CONTROLS,
        description="Name of the dataset; default: the file's.",
        examples=["rte"],
    )
    format: FileFormat | None = Field(None, description="The file's format.", examples=["csv"])
    text_a: str | None = Field(None, max_length=500, description="Column of the text.", examples=["premise"])
    text_b: str | None = Field(None, max_length=500, description="Column of the second text.", examples=["hypothesis"])
    label: str | None = Field(None, max_length=500, description="Column of the label.", examples=["label"])
    kind: TaskKind | None = Field(None, description="What a label is.", examples=["classification"])


class ColumnsOut(Record):
    """Which columns hold what."""

    text_a: str | None = _text("Column of the text.", "premise")
    text_b: str | None = _text("Column of the second text; null for single texts.", "hypothesis")
    label: str | None = _text("Column of the label.", "label")


class LabelCountOut(Record):
    """A class and how many rows carry it."""

    label: str = _text("The class.", "entailment", 100_000)
    rows: int = _count("Rows of that class.")


class LengthsOut(Record):
    """Characters of a row, both texts together."""

    mean: float = _count("Mean.", 120)
    median: float = _count("Median.", 110)
    p95: float = _count("95th percentile.", 300)
    longest: int = _count("Longest row.", 900)


class ExampleOut(Record):
    """A row, its texts cut short."""

    row: int = _count("Row number, from 0.", 0)
    text_a: str = _text("The text.", "A parcel came late.")
    text_b: str | None = _text("The second text, if rows are pairs.", "The parcel was on time.")
    label: str | float = Field(description="The label.", examples=["not_entailment"])


class DatasetOut(Record):
    """A dataset."""

    id: uuid.UUID = _id("The dataset's id.")
    name: str = _text("Its name.", "rte")
    created_at: datetime = _time("When it was received.")
    kind: TaskKind = Field(description="What a label is.", examples=["classification"])
    rows: int = _count("Rows.")
    file_format: FileFormat = Field(description="Format of the uploaded file.", examples=["csv"])
    columns: ColumnsOut = Field(description="Which columns of the file hold what.")
    labels: list[LabelCountOut] = Field(description="Classes with their rows, in the order of class indices.")
    label_range: tuple[float, float] | None = Field(
        description="Lowest and highest label of a regression.", examples=[[0.0, 5.0]]
    )
    lengths: LengthsOut = Field(description="How long rows are, in characters.")
    duplicates: int = _count("Rows whose texts stood in an earlier row.", 3)
    examples: list[ExampleOut] = Field(description="The first rows.")
    warnings: list[str] = Field(description="What is worth knowing about how it was read.", examples=[[]])
    digest: Annotated[str, SHA256]
    bytes: int = _count("Bytes of the uploaded file.", 293498)
    sha256: Annotated[str, SHA256]


class DatasetPage(Record):
    """Some datasets, newest first."""

    items: list[DatasetOut] = Field(description="The datasets.")
    next_cursor: str | None = Field(description="Leads to the next page; null on the last.", examples=[None])


class NewJob(Record):
    """A selection job: which datasets, and how."""

    name: str = Field(
        "selection", min_length=1, max_length=200, description="A name for people.", examples=["rte, 1000"]
    )
    primary: uuid.UUID = _id("The dataset that rows are chosen for.")
    validation: uuid.UUID | None = Field(
        None,
        description="More rows of the primary, to measure on once; without it a part of the primary is held out.",
        examples=[ID_EXAMPLE],
    )
    auxiliary: list[uuid.UUID] = Field(
        description="The datasets that rows are chosen from.", min_length=1, max_length=1000, examples=[[ID_EXAMPLE]]
    )
    config: JobConfig = Field(JobConfig(), description="What decides the result; every field has a default.")


class JobDatasetOut(Record):
    """A dataset of a job."""

    id: uuid.UUID = _id("The dataset's id.")
    key: str = _text("What it is called in the job's files.", "mnli", 300)
    role: Role = Field(description="What it is to the job.", examples=["auxiliary"])
    name: str = _text("The dataset's name.", "mnli")
    rows: int = _count("Rows.", 25475)


class ProgressOut(Record):
    """How far a step is."""

    done: int = _count("Units done.", 1280)
    total: int = _count("Units in all.", 4000)
    unit: str = _text("What is counted.", "rows")
    message: str = _text("More, for people.", "epoch 1 of 3")
    per_second: float | None = Field(description="Units a second.", ge=0, examples=[52.5])
    seconds_left: float | None = Field(description="Estimated time left of the step, seconds.", examples=[51.8])


class StepOut(Record):
    """A step of a job."""

    id: uuid.UUID = _id("The step's id.")
    name: str = _text("Its name in the job.", "score 1/2", 300)
    kind: str = _text("What it does.", "score")
    status: Status = Field(description="How it stands.", examples=["running"])
    reused: bool = Field(description="Whether it was done before this job came.", examples=[False])
    attempts: int = _count("Attempts so far.", 1)
    progress: ProgressOut | None = Field(description="How far it is; null before it begins.")
    seconds: float | None = Field(description="How long it took, or runs already.", ge=0, examples=[12.5])
    error: JobError | None = Field(description="What went wrong in the last attempt.")


class JobError(Record):
    """Why a job or a step failed."""

    type: str = _text("Names the kind of error.", "encoder-unavailable")
    message: str = _text(
        "What went wrong and what to do.", "the package that carries the encoder is not installed", 5000
    )
    step: str | None = Field(None, description="The step it went wrong in.", examples=["discriminator"])
    field: str | None = Field(None, description="The setting to change.", examples=["config.encoder.max_length"])


class CountsOut(Record):
    """What was chosen of a dataset."""

    rows: int = _count("Rows of the dataset.")
    seen: int = _count("Rows that trained the method.", 500)
    leaked: int = Field(
        0, ge=0, description="Rows kept out because they also stand among the rows measured on.", examples=[3]
    )
    eligible: int = _count("Rows that could be chosen.", 500)
    selected: int = _count("Rows that were.", 120)
    share: float = _share("Share of the selection.")
    random_share: float = _share("Share of a random draw of as many rows, on average.")


class SelectionSummary(Record):
    """What a job chose."""

    budget: int = _count("Rows chosen.")
    digest: Annotated[str, SHA256]
    counts: dict[str, CountsOut] = Field(description="By dataset key.")


class JobLinks(Record):
    """Where to go on from here."""

    self: str = _text("This job.", f"/v1/jobs/{ID_EXAMPLE}")
    selection: str = _text("The chosen rows.", f"/v1/jobs/{ID_EXAMPLE}/selection")
    artifacts: str = _text("All its files.", f"/v1/jobs/{ID_EXAMPLE}/artifacts")


class JobOut(Record):
    """A job as it stands."""

    id: uuid.UUID = _id("The job's id.")
    name: str = _text("Its name.", "rte, 1000")
    status: Status = Field(description="How it stands.", examples=["running"])
    config: JobConfig = Field(description="What decides the result, with every default written out.")
    created_at: datetime = _time("When it was submitted.")
    started_at: datetime | None = _time("When its first step began.")
    finished_at: datetime | None = _time("When it was over.")
    datasets: list[JobDatasetOut] = Field(description="Its datasets, the primary first.")
    steps: list[StepOut] = Field(description="Its steps, inputs before outputs.")
    progress: float = _share("Share of its work that is done, by cost.")
    seconds_left: float | None = Field(description="Estimated time left, seconds; null if unknown.", examples=[240.0])
    selection: SelectionSummary | None = Field(description="What was chosen; null until it is.")
    error: JobError | None = Field(description="Why it failed.")
    links: JobLinks = Field(description="Where to go on.")


class JobPage(Record):
    """Some jobs, newest first."""

    items: list[JobOut] = Field(description="The jobs.")
    next_cursor: str | None = Field(description="Leads to the next page; null on the last.", examples=[None])


class SelectedRow(Record):
    """A chosen row."""

    rank: int = Field(description="Place, from 1, best first.", ge=1, examples=[1])
    dataset: str = _text("Key of its dataset.", "mnli", 300)
    dataset_id: uuid.UUID = _id("Id of its dataset.")
    row: int = _count("Row number in the uploaded file, from 0.", 18231)
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

    row: int = _count("Row number in the primary's file, from 0.", 17)
    similarity: float = Field(description="Cosine in the frozen encoder's space.", ge=-1.01, le=1.01, examples=[0.84])


class SelectionOut(Record):
    """The chosen rows."""

    job: uuid.UUID = _id("The job's id.")
    budget: int = _count("Rows chosen.")
    digest: Annotated[str, SHA256]
    rows: list[SelectedRow] = Field(description="The rows, best first.")


class ArtifactOut(Record):
    """A file of a job."""

    name: str = _text("Its name, a path below the job's artifacts.", "model/model.safetensors", 500)
    bytes: int = _count("Its size.", 90864192)
    sha256: Annotated[str, SHA256]
    media_type: str = _text("What it is.", "application/octet-stream")
    href: str = _text("Where it is.", f"/v1/jobs/{ID_EXAMPLE}/artifacts/model/model.safetensors", 2000)


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
    max_upload_bytes: int = _count("Largest upload, bytes.", 4294967296)
    defaults: JobConfig = Field(description="The config of a job that writes none.")

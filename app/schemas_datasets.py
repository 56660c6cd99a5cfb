"""Bodies of requests and answers about datasets."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated

from pydantic import Field

from app import fields
from app.fields import SHA256, Record
from fastmtl.datasets import TaskKind
from fastmtl.formats import FileFormat


class ColumnsOut(Record):
    """Which columns hold what."""

    text_a: str | None = fields.text("Column of the text.", "premise")
    text_b: str | None = fields.text("Column of the second text; null for single texts.", "hypothesis")
    label: str | None = fields.text("Column of the label.", "label")


class LabelCountOut(Record):
    """A class and how many rows carry it."""

    label: str = fields.text("The class.", "entailment", 100_000)
    rows: int = fields.count("Rows of that class.")


class LengthsOut(Record):
    """Characters of a row, both texts together."""

    mean: float = fields.count("Mean.", 120)
    median: float = fields.count("Median.", 110)
    p95: float = fields.count("95th percentile.", 300)
    longest: int = fields.count("Longest row.", 900)


class ExampleOut(Record):
    """A row, its texts cut short."""

    row: int = fields.count("Row number, from 0.", 0)
    text_a: str = fields.text("The text.", "A parcel came late.")
    text_b: str | None = fields.text("The second text, if rows are pairs.", "The parcel was on time.")
    label: str | float = Field(description="The label.", examples=["not_entailment"])


class DatasetOut(Record):
    """A dataset."""

    id: uuid.UUID = fields.identifier("The dataset's id.")
    name: str = fields.text("Its name.", "rte")
    created_at: datetime = fields.moment("When it was received.")
    kind: TaskKind = Field(description="What a label is.", examples=["classification"])
    rows: int = fields.count("Rows.")
    file_format: FileFormat = Field(description="Format of the uploaded file.", examples=["csv"])
    columns: ColumnsOut = Field(description="Which columns of the file hold what.")
    labels: list[LabelCountOut] = Field(description="Classes with their rows, in the order of class indices.")
    label_range: tuple[float, float] | None = Field(
        description="Lowest and highest label of a regression.", examples=[[0.0, 5.0]]
    )
    lengths: LengthsOut = Field(description="How long rows are, in characters.")
    duplicates: int = fields.count("Rows whose texts stood in an earlier row.", 3)
    examples: list[ExampleOut] = Field(description="The first rows.")
    warnings: list[str] = Field(description="What is worth knowing about how it was read.", examples=[[]])
    digest: Annotated[str, SHA256]
    source: str | None = Field(
        None,
        max_length=500,
        description="Where the rows come from, if that was said; of the hub the commit, so they can be had again.",
        examples=[fields.SOURCE_EXAMPLE],
    )
    bytes: int = fields.count("Bytes of the uploaded file.", 293498)
    sha256: Annotated[str, SHA256]


class HubDataset(Record):
    """A split on the hub, and how it is to be read; what is null is inferred."""

    source: str = Field(
        min_length=1,
        max_length=500,
        pattern=fields.NO_CONTROLS,
        description="Its name: hub:OWNER/NAME[/CONFIG][@REVISION]#SPLIT.",
        examples=["hub:nyu-mll/glue/rte#train"],
    )
    name: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        pattern=fields.NO_CONTROLS,
        description="Name of the dataset; default: that of its part and split.",
        examples=["rte"],
    )
    text_a: str | None = Field(None, max_length=500, description="Column of the text.", examples=["sentence1"])
    text_b: str | None = Field(None, max_length=500, description="Column of the second text.", examples=["sentence2"])
    label: str | None = Field(None, max_length=500, description="Column of the label.", examples=["label"])
    kind: TaskKind | None = Field(None, description="What a label is.", examples=["classification"])


class DatasetPage(Record):
    """Some datasets, newest first."""

    items: list[DatasetOut] = Field(description="The datasets.")
    next_cursor: str | None = Field(description="Leads to the next page; null on the last.", examples=[None])


class DatasetReceipt(Record):
    """What was removed with a dataset."""

    id: uuid.UUID = fields.identifier("The dataset that is gone.")
    deleted_at: datetime = fields.moment("When it was removed.")
    rows: int = fields.count("Its rows.", 2490)
    bytes: int = fields.count("Bytes that the stored file had.", 293498)

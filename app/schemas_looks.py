"""Bodies of answers for people who look at a job's rows and scores."""

from __future__ import annotations

import uuid
from enum import StrEnum

from pydantic import Field

from app import fields
from app.fields import Record

KEY = "Key of the dataset in the job."


class RowSort(StrEnum):
    """What chosen rows are sorted by."""

    RANK = "rank"
    SCORE = "score"
    PERCENTILE = "percentile"
    DATASET = "dataset"
    ROW = "row"


class NearRow(Record):
    """A row of the primary that another is near to."""

    row: int = fields.count("Row number in the primary's file, from 0.", 17)
    similarity: float = Field(description="Cosine in the frozen encoder's space.", ge=-1.01, le=1.01, examples=[0.84])
    text_a: str = fields.text("Its text, cut short.", "A parcel came late.", 2001)
    text_b: str | None = fields.text("Its second text, if rows are pairs.", "The parcel was on time.", 2001)
    label: str | float = Field(description="Its label.", examples=["not_entailment"])


class RowOut(Record):
    """A row of an auxiliary dataset, and why it was chosen."""

    rank: int | None = Field(description="Place, from 1, best first; null if it was not chosen.", ge=1, examples=[1])
    dataset: str = fields.text(KEY, "mnli", 300)
    dataset_id: uuid.UUID = fields.identifier("Id of the dataset.")
    row: int = fields.count("Row number in the uploaded file, from 0.", 18231)
    score: float = Field(description="Higher is more like the primary.", examples=[0.97])
    percentile: float | None = Field(
        description="Share of its dataset's rows, in percent, that score no higher; null where it is not explained.",
        ge=0,
        le=100,
        examples=[99.8],
    )
    text_a: str = fields.text("Its text, cut short.", "The parcel has not come yet.", 2001)
    text_b: str | None = fields.text("Its second text, if rows are pairs.", "It is late.", 2001)
    label: str | float = Field(description="Its label.", examples=["entailment"])
    nearest: list[NearRow] = Field(description="The primary's rows nearest to it, where it is explained.")


class RowPage(Record):
    """Some rows."""

    items: list[RowOut] = Field(description="The rows.")
    total: int = fields.count("Rows on all pages.", 200)
    offset: int = fields.count("Rows on the pages before.", 50)


class RowsLeft(RowPage):
    """Some of the rows that could have been chosen and were not."""

    above_cut: int = fields.count(
        "How many of all that were left score higher than the lowest chosen row. 0: the selector went by the score "
        "alone, and these rows are those just below the cut. Otherwise it also went by something else.",
        0,
    )


class Distribution(Record):
    """How a dataset's rows score."""

    dataset: str = fields.text(KEY, "mnli", 300)
    dataset_id: uuid.UUID = fields.identifier("Id of the dataset.")
    rows: list[int] = Field(description="Rows in each bar.", examples=[[900, 80, 20]])
    chosen: list[int] = Field(description="Chosen rows in each bar.", examples=[[0, 4, 20]])


class Distributions(Record):
    """How the rows of each dataset score."""

    edges: list[float] = Field(
        description="Bounds of the bars, one more than there are bars.", examples=[[0.0, 0.3, 0.6, 0.9]]
    )
    cut: float | None = Field(description="The lowest score that was chosen.", examples=[0.61])
    datasets: list[Distribution] = Field(description="The datasets, in the order of the job.")


class MapOut(Record):
    """Where rows lie, a point a row; the lists are as long as there are points."""

    datasets: list[str] = Field(description="Keys of the datasets, the primary's first.", examples=[["rte", "mnli"]])
    dataset: list[int] = Field(description="Place of the row's dataset among `datasets`.", examples=[[0, 1]])
    row: list[int] = Field(description="Row number in the dataset's file, from 0.", examples=[[17, 18231]])
    x: list[float] = Field(description="Where it lies, across.", examples=[[-3.25, 4.5]])
    y: list[float] = Field(description="Where it lies, upwards.", examples=[[1.5, -2.75]])
    score: list[float | None] = Field(description="Its score; null for the primary's.", examples=[[None, 0.97]])
    chosen: list[bool] = Field(description="Whether it was chosen.", examples=[[False, True]])


class DatasetRow(Record):
    """A row of a dataset."""

    row: int = fields.count("Row number, from 0.", 17)
    text_a: str = fields.text("Its text, cut short.", "A parcel came late.", 2001)
    text_b: str | None = fields.text("Its second text, if rows are pairs.", "The parcel was on time.", 2001)
    label: str | float = Field(description="Its label.", examples=["not_entailment"])


class SharePair(Record):
    """What two jobs chose of a dataset."""

    dataset: str = fields.text("Key of the dataset, in the first job that has it.", "mnli", 300)
    dataset_id: uuid.UUID = fields.identifier("Id of the dataset.")
    rows: int = fields.count("Rows that the job chose of it.", 120)
    other_rows: int = fields.count("Rows that the other job chose of it.", 90)
    common: int = fields.count("Rows that both chose.", 70)
    share: float = fields.share("Share of the job's selection.")
    other_share: float = fields.share("Share of the other's.")


class Overlap(Record):
    """What two jobs chose in common."""

    rows: int = fields.count("Rows that the job chose.", 1000)
    other_rows: int = fields.count("Rows that the other job chose.", 500)
    common: int = fields.count("Rows that both chose.", 480)
    share: float = fields.share("Common rows over those that either chose.")
    datasets: list[SharePair] = Field(description="By dataset.")


class Bars(Record):
    """A histogram."""

    edges: list[float] = Field(
        description="Bounds of the bars, one more than there are bars.", examples=[[0.0, 20.0, 40.0]]
    )
    rows: list[int] = Field(description="Rows in each bar.", examples=[[120, 30]])


class DatasetShape(Record):
    """How a dataset's rows are spread."""

    lengths: Bars = Field(description="Characters of a row, both texts together; longer rows are in the last bar.")
    labels: Bars | None = Field(description="Labels of a regression; null for classes, which the dataset counts.")

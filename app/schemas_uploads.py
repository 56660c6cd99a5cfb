"""What is said of a file that is uploaded, and told of one that comes in parts."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

from pydantic import Field

from app.fields import ID_EXAMPLE, NO_CONTROLS, SOURCE_EXAMPLE, TIME_EXAMPLE, Record
from app.schemas import Problem
from fastmtl.datasets import TaskKind
from fastmtl.formats import FileFormat


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
    source: str | None = Field(
        None,
        min_length=1,
        max_length=500,
        pattern=NO_CONTROLS,
        description="Where the rows come from, kept as it is said.",
        examples=[SOURCE_EXAMPLE],
    )
    sha256: str | None = Field(
        None,
        pattern="^[0-9a-fA-F]{64}$",
        description="SHA-256 of the file in hex; where the file has another one nothing is kept.",
        examples=["e3b0c44298fc1c149afbf4c8996fb924" * 2],
    )


class UploadState(StrEnum):
    """How an upload stands."""

    INCOMPLETE = "incomplete"
    READING = "reading"
    """All bytes are there and are being made a dataset, or wait for it."""
    DONE = "done"
    REFUSED = "refused"


class UploadOut(Record):
    """An upload that comes in parts."""

    id: uuid.UUID = Field(description="The upload's id.", examples=[ID_EXAMPLE])
    state: UploadState = Field(description="How it stands.", examples=["incomplete"])
    filename: str | None = Field(
        max_length=10_000, description="The file's name, if it was told.", examples=["tde.csv"]
    )
    offset: int = Field(ge=0, description="Bytes that were received, from the first on.", examples=[67108864])
    length: int = Field(ge=0, description="Bytes that were declared.", examples=[293498112])
    created_at: datetime = Field(description="When it was created.", examples=[TIME_EXAMPLE])
    expires_at: datetime = Field(description="When it is removed unless more comes.", examples=[TIME_EXAMPLE])
    dataset: uuid.UUID | None = Field(description="Id of the dataset that was made of it.", examples=[ID_EXAMPLE])
    error: Problem | None = Field(description="Why it was refused; its bytes are removed then.")


class UploadPage(Record):
    """Some uploads, newest first."""

    items: list[UploadOut] = Field(description="The uploads that are neither a dataset nor refused.")
    next_cursor: str | None = Field(description="Leads to the next page; null on the last.", examples=[None])

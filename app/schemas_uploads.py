"""What is told of uploads that come in parts."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

from pydantic import Field

from app.schemas import ID_EXAMPLE, TIME_EXAMPLE, Problem, Record


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
    offset: int = Field(ge=0, description="Bytes that were received, from the first on.", examples=[67108864])
    length: int = Field(ge=0, description="Bytes that were declared.", examples=[293498112])
    created_at: datetime = Field(description="When it was created.", examples=[TIME_EXAMPLE])
    expires_at: datetime = Field(description="When it is removed unless more comes.", examples=[TIME_EXAMPLE])
    dataset: uuid.UUID | None = Field(description="Id of the dataset that was made of it.", examples=[ID_EXAMPLE])
    error: Problem | None = Field(description="Why it was refused; its bytes are removed then.")

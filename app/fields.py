"""How fields of bodies are described: each has a sentence, an example and a bound."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

SHA256 = Field(
    description="SHA-256 in hex.", min_length=64, max_length=64, examples=["e3b0c44298fc1c149afbf4c8996fb924" * 2]
)
ID_EXAMPLE = "6f0e2f6c-3b0a-4c58-9a55-0f3d1b2c4d5e"
NO_CONTROLS = r"^[^\x00-\x1f\x7f]+$"
SOURCE_EXAMPLE = "hub:nyu-mll/glue/rte@bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c#train"
TIME_EXAMPLE = "2026-01-31T12:00:00Z"


class Record(BaseModel):
    """A body whose fields are all there is."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)


def identifier(sentence: str) -> Any:  # noqa: ANN401 - pydantic's Field is untyped
    """Return a field for an id."""
    return Field(description=sentence, examples=[ID_EXAMPLE])


def moment(sentence: str) -> Any:  # noqa: ANN401
    """Return a field for a time."""
    return Field(description=sentence, examples=[TIME_EXAMPLE])


def count(sentence: str, example: int = 1000) -> Any:  # noqa: ANN401
    """Return a field for a number that is not negative."""
    return Field(description=sentence, ge=0, examples=[example])


def share(sentence: str) -> Any:  # noqa: ANN401
    """Return a field for a share from 0 to 1."""
    return Field(description=sentence, ge=0, le=1, examples=[0.25])


def text(sentence: str, example: str, longest: int = 200) -> Any:  # noqa: ANN401
    """Return a field for a text of bounded length."""
    return Field(description=sentence, max_length=longest, examples=[example])

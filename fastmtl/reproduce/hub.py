"""GLUE from the Hugging Face hub: only the files that the protocol reads, at one revision."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from fastmtl.errors import InvalidConfig

REPOSITORY = "nyu-mll/glue"
REVISION = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"


def fetch(patterns: Sequence[str], revision: str | None = None, cache: Path | None = None) -> Path:
    """Return the folder with the files that match, from the local cache or fetched into it.

    A revision of None is the one that this project was written against. Raises InvalidConfig with what to do where
    they cannot be had.
    """
    revision = revision or REVISION
    try:
        return Path(
            snapshot_download(
                REPOSITORY, repo_type="dataset", revision=revision, allow_patterns=list(patterns), cache_dir=cache
            )
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise InvalidConfig(
            "data",
            f"{REPOSITORY}@{revision} is not in the local cache and could not be fetched from the Hugging Face hub "
            f"({type(error).__name__}). Check the network and the revision, or fetch the data set elsewhere and give "
            "its folder: --data FOLDER with FOLDER/TASK/train.parquet and FOLDER/TASK/validation.parquet",
        ) from error

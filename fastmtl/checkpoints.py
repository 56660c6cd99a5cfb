"""What a step has done so far, kept on disk, so that its next attempt goes on from there.

A checkpoint is one file, NUMBER-SHA256.safetensors: the tensors, and as JSON in the file's metadata all else. It is
written under a temporary name, flushed and renamed: complete or absent. It holds the state of every part of the step
that asked to be kept, all of one moment. Nothing in it is a pickle.

A checkpoint that is damaged, or of another step, code, arithmetic or kind of device, is passed over with a warning: the
step then begins anew, or with an older one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from fastmtl.artifacts import sha256
from fastmtl.device import Machine
from fastmtl.keeping import NAME, Keeping, complete
from fastmtl.plan import Json, StepSpec, Workspace
from fastmtl.telling import warn

FORMAT = 1
"""Raise it when a part of a step keeps another state than before."""
METADATA = "fastmtl"
SPARE_BYTES = 64 * 2**20
"""Of the disk, left free beside a checkpoint: the database's writes must not fail for the sake of one."""


class State(NamedTuple):
    """What a part of a step needs to go on."""

    tensors: dict[str, torch.Tensor]
    facts: Json


class Checkpoints:
    """The parts of one step that are kept, and what an older attempt kept of them."""

    def __init__(
        self,
        keeping: Keeping | None,
        identity: Json,
        made_on: Json,
        warn: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        """Find what the attempt before kept.

        A checkpoint made for another `identity` is passed over, one that was only `made_on` another machine is used,
        with a warning; without `keeping` nothing is kept.
        """
        self._keeping = keeping
        self._identity = {**identity, "format": FORMAT}
        self._made_on = made_on
        self._warn = warn
        self._clock = clock
        self._free_bytes = free_bytes
        self._written_at = clock()
        self._number = 0
        self._could_write = True
        self._parts: dict[str, Callable[[], State]] = {}
        self._found = self._newest()

    @classmethod
    def of(cls, spec: StepSpec, workspace: Workspace, machine: Machine, models: Sequence[nn.Module]) -> Checkpoints:
        """Return those of a step that computes with these models, which nothing has moved or changed yet."""
        identity = {
            "fingerprint": spec.fingerprint,
            "kind of device": machine.device.partition(":")[0],
            "precision": machine.precision,
            "model": [_shapes(model) for model in models],
        }
        made_on = {"machine": machine.name, "torch": torch.__version__}
        return cls(workspace.keeping, identity, made_on, lambda message: warn(workspace.progress, message))

    @classmethod
    def none(cls) -> Checkpoints:
        """Return those of a step of which nothing is kept."""
        return cls(None, {}, {}, lambda message: None)

    def take(self, part: str) -> State | None:
        """Return, once, what the attempt before kept of a part; None where it kept nothing."""
        return self._found.pop(part, None)

    def keep(self, part: str, state: Callable[[], State]) -> None:
        """Ask a part for its state at every checkpoint from now on."""
        self._parts[part] = state

    def drop(self, part: str) -> None:
        """Keep no more of a part: it is done with."""
        self._parts.pop(part, None)

    def at_once(self, size: int) -> int:
        """Return how much of `size` is to be computed at once: half for every attempt that ran out of memory."""
        return max(1, size >> self._keeping.halvings) if self._keeping else size

    def tick(self) -> None:
        """Write a checkpoint if one is due; to be called wherever the state of all parts is that of one moment."""
        if self._keeping and self._clock() - self._written_at >= self._keeping.seconds:
            self.write()

    def write(self) -> None:
        """Write a checkpoint in place of the one before.

        One that cannot be written, for want of room on the disk too, is a warning, and the one before it stays.
        """
        if not self._keeping:
            return
        try:
            self._write(self._keeping.folder)
            self._could_write = True
        except (OSError, MemoryError, SafetensorError) as error:
            if self._could_write:  # said once, not every half minute
                self._warn(f"a checkpoint could not be written, the step goes on without: {error}")
            self._could_write = False
        self._written_at = self._clock()

    def _write(self, folder: Path) -> None:
        tensors, facts = {}, {}
        for part, state in self._parts.items():
            found = state()
            facts[part] = found.facts
            for name, tensor in found.tensors.items():
                tensors[f"{part}/{name}"] = tensor.detach()
        folder.mkdir(parents=True, exist_ok=True)
        self._check_room(folder, sum(tensor.nbytes for tensor in tensors.values()))
        partial = folder / ".partial"
        try:
            about = {"identity": self._identity, "made_on": self._made_on, "facts": facts}
            save_file(
                {name: each.cpu().contiguous() for name, each in tensors.items()},
                partial,
                {METADATA: json.dumps(about)},
            )
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            number = self._number + 1
            partial.rename(folder / f"{number:08d}-{sha256(partial)}.safetensors")
        finally:
            partial.unlink(missing_ok=True)
        self._number = number
        for path in complete(folder)[1:]:
            path.unlink(missing_ok=True)

    def _check_room(self, folder: Path, needed: int) -> None:
        """Raise OSError where a checkpoint of so many bytes would leave the disk too full."""
        free = self._free_bytes(folder)
        if needed + SPARE_BYTES > free:
            raise OSError(f"it takes {needed / 2**20:,.1f} MiB, and of the disk {free / 2**20:,.1f} MiB are free")

    def _newest(self) -> dict[str, State]:
        """Return the parts of the newest checkpoint that can be used; empty where there is none."""
        for folder in self._keeping.older if self._keeping else ():
            refused: set[Path] = set()
            while path := next((each for each in complete(folder) if each not in refused), None):
                found = self._read(path)
                if found is not None:
                    return found
                refused.add(path)
        return {}

    def _read(self, path: Path) -> dict[str, State] | None:
        """Read a checkpoint; None where it cannot be used."""
        try:
            return self._parts_of(path)
        except FileNotFoundError:
            return None  # the attempt before is still at work and has just written a newer one
        except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
            self._warn(f"a checkpoint of the attempt before was passed over: {error}")
            return None

    def _parts_of(self, path: Path) -> dict[str, State]:
        """Raise ValueError where the file is not what was written, or not for this step."""
        matched = NAME.fullmatch(path.name)
        assert matched, path
        if sha256(path) != matched[2]:
            raise ValueError("it is damaged")
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()[METADATA])
            if other := _differing(about["identity"], self._identity):
                raise ValueError(f"it is of another {other}")
            parts = {part: State({}, facts) for part, facts in about["facts"].items()}
            for name in file.keys():
                part, _, inner = name.partition("/")
                # A copy: what is read may be a view of the file, and that goes when a newer one stands.
                parts[part].tensors[inner] = file.get_tensor(name).clone()
        if other := _differing(about["made_on"], self._made_on):
            told = f"{about['made_on'][other]}, not {self._made_on[other]}"
            self._warn(f"the attempt before ran on another {other} ({told}): the last bits of the result may show it")
        return parts


def _differing(found: Json, wanted: Json) -> str | None:
    """Return the first thing that two identities differ in."""
    return next((name for name in wanted if found.get(name) != wanted[name]), None)


def _shapes(model: nn.Module) -> str:
    """Return a digest of the names, shapes and types of a model's parameters."""
    told = [(name, list(each.shape), str(each.dtype)) for name, each in model.named_parameters()]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()

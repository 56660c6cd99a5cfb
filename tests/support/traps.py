"""Checkpoints that carry pickles and modules which leave a mark when they run, under every name that a loader might
look for.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import torch
from tiny import write_encoder

PICKLES = ("pytorch_model.bin", "model.bin", "model.pt", "training_args.bin", "optimizer.pt", "vocab.pkl")
MODULES = ("modeling_trap.py", "configuration_trap.py", "tokenization_trap.py", "__init__.py")


class Trap:
    """Unpickled, it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return Path.mkdir, (self.mark,)  # type: ignore[return-value]


def trapped(folder: Path, mark: Path, kind: str = "bert-mlm") -> Path:
    """Write a tiny encoder that would load, and set the traps around it."""
    write_encoder(kind, folder)
    set_traps(folder, mark)
    return folder


def set_traps(folder: Path, mark: Path, **changed: object) -> None:
    """Put pickles and modules beside what is there, and name the modules in the configurations."""
    for name in PICKLES:
        (folder / name).write_bytes(pickle.dumps(Trap(mark)))
    for name in MODULES:
        (folder / name).write_text(f"from pathlib import Path\nPath({str(mark)!r}).mkdir()\n")
    model = {name: f"modeling_trap.{name}" for name in ("AutoModel", "AutoModelForMaskedLM")}
    change(folder / "config.json", auto_map={"AutoConfig": "configuration_trap.Trap", **model}, **changed)
    named = ["tokenization_trap.Trap", "tokenization_trap.Trap"]
    change(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": named})


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def without_safetensors(folder: Path) -> Path:
    """Leave only the pickles, one of them in the form in which torch writes weights."""
    (folder / "model.safetensors").unlink()
    torch.save(Trap(folder.parent / "it-was-run"), folder / "pytorch_model.bin")
    return folder

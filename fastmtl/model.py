"""MT-DNN: a shared encoder, one linear head a task and, in TD-MTDNN, a linear task discriminator (paper, section 3).

Letters: B rows in a batch · L tokens · H hidden width · T tasks · C outputs of a head.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from fastmtl import ragged
from fastmtl.config import Pooling
from fastmtl.datasets import TaskKind
from fastmtl.dropout import Dropout, hasten
from fastmtl.errors import EncoderUnavailable, InvalidConfig

DROPOUT = 0.1
"""On the row vector, before head and discriminator, while training: BERT's own rate."""
HEAD_STD = 0.02
"""Standard deviation of fresh heads: BERT's initializer_range."""
HEADS_FILE = "heads.safetensors"
MODEL_FILE = "fastmtl.json"


@dataclass(frozen=True)
class Task:
    """What a head must know of its task."""

    digest: str
    """Of the dataset."""
    kind: TaskKind
    classes: tuple[str, ...]
    """In the order of the logits; empty for a regression."""
    mean: float = 0.0
    std: float = 1.0
    """A regression's head works in standard units: value = mean + std * output."""

    @property
    def outputs(self) -> int:
        """C: classes, or one for a regression."""
        return len(self.classes) or 1


class MtDnn(nn.Module):
    """The network. `eval()` and `train()` are its only modes."""

    def __init__(
        self, encoder: PreTrainedModel, pooling: Pooling, tasks: Sequence[Task], *, discriminator: bool
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling
        self.tasks = tuple(tasks)
        width = encoder.config.hidden_size
        self.dropout = Dropout(DROPOUT)
        self.heads = nn.ModuleList(nn.Linear(width, task.outputs) for task in tasks)
        self.discriminator = nn.Linear(width, len(tasks)) if discriminator else None
        self.reads_lines = ragged.can_read(encoder)
        if self.reads_lines:
            ragged.prepare(encoder)
        hasten(encoder)

    def features(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return one vector a row, [B, H] float32, from token ids and mask [B, L]."""
        output = self.encoder(**inputs)
        if self.pooling == "pooler":
            pooled = output.pooler_output  # [B, H]
        elif self.pooling == "first":
            pooled = output.last_hidden_state[:, 0]  # [B, H]
        else:
            mask = inputs["attention_mask"].unsqueeze(-1)  # [B, L, 1]
            total = (output.last_hidden_state.float() * mask).sum(1)  # [B, H]
            pooled = total / mask.sum(1)
        features: torch.Tensor = self.dropout(pooled.float())
        return features

    def features_of_line(self, line: ragged.Line) -> torch.Tensor:
        """Return one vector a row, [B, H] float32, where `reads_lines`: of as many rows those of `features`."""
        features: torch.Tensor = self.dropout(ragged.read(self.encoder, line, self.pooling))
        return features

    def task_logits(self, features: torch.Tensor, task: int) -> torch.Tensor:
        """Return the head's output, [B, C]."""
        logits: torch.Tensor = self.heads[task](features)
        return logits

    def discriminate(self, features: torch.Tensor) -> torch.Tensor:
        """Return the discriminator's logits, [B, T]."""
        assert self.discriminator is not None, "only TD-MTDNN has a discriminator"
        logits: torch.Tensor = self.discriminator(features)
        return logits

    def initialise_heads(self, seed: int) -> None:
        """Draw the heads and the discriminator anew: normal weights, zero biases."""
        generator = torch.Generator().manual_seed(seed)
        for layer in [*self.heads, *([self.discriminator] if self.discriminator else [])]:
            assert isinstance(layer, nn.Linear)
            nn.init.normal_(layer.weight, std=HEAD_STD, generator=generator)
            nn.init.zeros_(layer.bias)


@dataclass(frozen=True)
class Checkpoint:
    """An encoder as it comes, with its tokenizer and the pooling that belongs to it."""

    encoder: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    pooling: Pooling
    max_length: int


def load_checkpoint(folder: Path, pooling: Pooling, max_length: int) -> Checkpoint:
    """Load an encoder from a folder: safetensors only, never code.

    Raises EncoderUnavailable where it cannot be loaded, InvalidConfig where it cannot do what is asked.
    """
    try:
        encoder, info = AutoModel.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
        )
        tokenizer = load_tokenizer(folder)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise EncoderUnavailable(f"the encoder in {folder.name} cannot be loaded: {reason}") from error
    longest = _longest_input(encoder, tokenizer)
    if max_length > longest:
        raise InvalidConfig(
            "config.encoder.max_length", f"this encoder reads at most {longest} tokens, not {max_length}"
        )
    trained_pooler = hasattr(encoder, "pooler") and not any("pooler" in key for key in info["missing_keys"])
    has_pooler = trained_pooler and encoder.pooler is not None
    return Checkpoint(encoder, tokenizer, _pooling(folder, pooling, has_pooler), max_length)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a folder, never code. Raises OSError or ValueError where there is none."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    return tokenizer


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a tokenizer as it came: not with the length that it last cut texts at, if it was used at all."""
    if isinstance(tokenizer, PreTrainedTokenizerFast):
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(folder)


def save_model(model: MtDnn, tokenizer: PreTrainedTokenizerBase, folder: Path, about: dict[str, Any]) -> None:
    """Write a folder that `AutoModel.from_pretrained` reads as the encoder and `load_model` as the whole.

    `heads.safetensors` holds heads.{i}.weight [C, H] and .bias [C] in the order of `tasks` in fastmtl.json, and
    discriminator.weight [T, H] and .bias [T] where there is one; `about` is added to fastmtl.json.
    """
    model.encoder.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    heads = {
        name: value.detach().cpu().contiguous()
        for name, value in model.state_dict().items()
        if name.startswith(("heads.", "discriminator."))
    }
    save_file(heads, folder / HEADS_FILE)
    described = {**about, "pooling": model.pooling, "tasks": [asdict(task) for task in model.tasks]}
    (folder / MODEL_FILE).write_text(json.dumps(described, indent=1))


def load_model(folder: Path, max_length: int) -> tuple[MtDnn, PreTrainedTokenizerBase]:
    """Load what `save_model` wrote."""
    described = json.loads((folder / MODEL_FILE).read_text())
    checkpoint = load_checkpoint(folder, described["pooling"], max_length)
    tasks = [
        Task(**{**task, "kind": TaskKind(task["kind"]), "classes": tuple(task["classes"])})
        for task in described["tasks"]
    ]
    weights = load_file(folder / HEADS_FILE)
    model = MtDnn(checkpoint.encoder, checkpoint.pooling, tasks, discriminator="discriminator.weight" in weights)
    _, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected, unexpected
    return model, checkpoint.tokenizer


def _longest_input(encoder: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return how many tokens the encoder reads: the smaller of what its positions and its tokenizer allow."""
    positions = getattr(encoder.config, "max_position_embeddings", None) or 10**9
    return min(int(positions), int(tokenizer.model_max_length))


def _pooling(folder: Path, wanted: Pooling, has_pooler: bool) -> Pooling:
    """Choose the pooling: as asked; else as the checkpoint says; else its trained pooler; else the mean."""
    if wanted == "pooler" and not has_pooler:
        raise InvalidConfig(
            "config.encoder.pooling", "this encoder's checkpoint has no pooler; use 'mean' or 'first' or 'auto'"
        )
    if wanted != "auto":
        return wanted
    said = folder / "1_Pooling" / "config.json"  # as sentence-transformers writes it
    if said.is_file():
        return "first" if json.loads(said.read_text()).get("pooling_mode_cls_token") else "mean"
    return "pooler" if has_pooler else "mean"

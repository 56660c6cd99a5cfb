"""A fine-tuned model as a folder that transformers' own classes load, with the same predictions.

    AutoModelForSequenceClassification.from_pretrained(folder)

Our head is one linear layer on the row vector; theirs stands behind a layer that ours has not. Where the row vector is
the pooler's, the two are the same. Where it is the first token's, their layer is made to change nothing: the identity,
scaled so that tanh is straight within a float's rounding, or moved to where relu and gelu are. Where it is the mean
over tokens, or the encoder's class has other layers there, none of their classes computes it: then a class of ours
goes along as a file (`fastmtl/modeling_fastmtl.py`), and loading takes `trust_remote_code=True`. Every export is tried,
and refused where it does not give the same logits.

Letters: B rows · L tokens · H hidden width · C outputs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from fastmtl.errors import FastMTLError
from fastmtl.model import MODEL_FILE, MtDnn, Task, load_model
from fastmtl.modeling_fastmtl import FastMTLConfig, FastMTLForSequenceClassification

PRIMARY = 0
"""The primary's place among the model's tasks."""
STRAIGHT = 2.0**-14
"""tanh(x * STRAIGHT) is x * STRAIGHT to float32's last digit for the values that a layer norm gives."""
GELU_STRAIGHT_FROM = 8.0
"""Above this gelu(x) is x to float32's last digit."""
CLOSE = 1e-4
"""By how much a logit may differ, of the largest one; float32's rounding through a few layers is a tenth of that."""
TRIED_ROWS, TRIED_LENGTHS, SEED = 32, (3, 48), 0


class CannotExport(FastMTLError):
    """No class of transformers gives this model's predictions."""


class Layers(NamedTuple):
    """What stands behind the encoder in one of transformers' classes, by the names of its weights."""

    before: str
    """The layer that ours has not."""
    head: str
    straight: Callable[[MtDnn], tuple[float, float]]
    """How that layer is made to change nothing: a scale and a shift of its input."""


def _by_scale(_model: MtDnn) -> tuple[float, float]:
    """For tanh: so small that it is straight."""
    return STRAIGHT, 0.0


def _by_shift(model: MtDnn) -> tuple[float, float]:
    """For relu and gelu: above zero whatever the last layer norm gives, and in gelu's straight part."""
    norms = [layer for layer in model.encoder.modules() if isinstance(layer, nn.LayerNorm)]
    width, weight, bias = norms[-1].normalized_shape[0], norms[-1].weight.detach(), norms[-1].bias.detach()
    return 1.0, width**0.5 * float(weight.abs().max()) + float(bias.abs().max()) + GELU_STRAIGHT_FROM


CLASSES: Mapping[str, Layers] = MappingProxyType(
    {
        "bert": Layers("bert.pooler.dense", "classifier", _by_scale),
        "roberta": Layers("classifier.dense", "classifier.out_proj", _by_scale),
        "xlm-roberta": Layers("classifier.dense", "classifier.out_proj", _by_scale),
        "electra": Layers("classifier.dense", "classifier.out_proj", _by_shift),
        "distilbert": Layers("pre_classifier", "classifier", _by_shift),
    }
)
"""By the checkpoint's model_type."""


def export(model_folder: Path | str, target: Path | str) -> Path:
    """Write a model of a job into a new folder that `AutoModelForSequenceClassification` loads, with its labels.

    A regression has one output, in the user's units. Rows are cut at as many tokens as in the job where the tokenizer
    is asked to (`truncation=True`). Raises CannotExport where the predictions would not be the same, FileExistsError
    where the target is there and not empty.
    """
    source, target = Path(model_folder), Path(target)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(f"{target} is there already and not an empty folder: name a new one")
    described = json.loads((source / MODEL_FILE).read_text())
    max_length = int(described["encoder"]["max_length"])
    model, tokenizer = load_model(source, max_length)
    model.eval()
    made = _converted(model)
    tokenizer.model_max_length = max_length
    _check_same(model, made, tokenizer)
    made.save_pretrained(target)
    tokenizer.save_pretrained(target)
    return target


def _converted(model: MtDnn) -> PreTrainedModel:
    """Return the network in transformers' class, or where there is none in ours."""
    task = model.tasks[PRIMARY]
    layers = CLASSES.get(str(model.encoder.config.model_type))
    if model.pooling == "mean" or layers is None:
        return _with_code(model, task)
    config = type(model.encoder.config).from_dict(model.encoder.config.to_dict())
    config.update(_labels(task))
    made: PreTrainedModel = AutoModelForSequenceClassification.from_config(  # type: ignore[no-untyped-call]
        config, dtype=torch.float32
    )
    weights = made.state_dict()
    weights |= {f"{made.base_model_prefix}.{name}": value for name, value in model.encoder.state_dict().items()}
    weights |= _head(model, task, layers)
    made.load_state_dict({name: value for name, value in weights.items() if name in made.state_dict()})
    made.train(mode=False)
    return made


def _with_code(model: MtDnn, task: Task) -> PreTrainedModel:
    """Return the network in the class whose code goes along. Raises CannotExport for an untried pooling."""
    if model.pooling == "pooler":
        raise CannotExport(f"models of type {model.encoder.config.model_type!r} have a pooler of their own kind")
    config = FastMTLConfig(encoder=model.encoder.config.to_dict(), pooling=model.pooling, **_labels(task))
    made = FastMTLForSequenceClassification(config)
    weight, bias = _scaled_head(model, task)
    made.encoder.load_state_dict(model.encoder.state_dict())
    made.classifier.load_state_dict({"weight": weight.float(), "bias": bias.float()})
    made.train(mode=False)
    return made


def _scaled_head(model: MtDnn, task: Task) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the head's weights in float64, [C, H] and [C]; a regression's give the user's units."""
    head = model.heads[PRIMARY]
    assert isinstance(head, nn.Linear)
    weight, bias = head.weight.detach().double(), head.bias.detach().double()
    return (weight, bias) if task.classes else (weight * task.std, bias * task.std + task.mean)


def _labels(task: Task) -> dict[str, object]:
    """Return what a config says of labels; a regression has one without a name."""
    names = list(task.classes) or ["value"]
    return {
        "id2label": dict(enumerate(names)),
        "label2id": {name: index for index, name in enumerate(names)},
        "problem_type": "single_label_classification" if task.classes else "regression",
    }


def _head(model: MtDnn, task: Task, layers: Layers) -> dict[str, torch.Tensor]:
    """Return the weights of the layer before the head and of the head."""
    weight, bias = _scaled_head(model, task)
    if model.pooling == "pooler":
        dense = model.encoder.get_submodule("pooler.dense")
        assert isinstance(dense, nn.Linear)
        before, before_bias = dense.weight.detach(), dense.bias.detach()
    else:
        width = weight.shape[1]
        scale, shift = layers.straight(model)
        before, before_bias = torch.eye(width) * scale, torch.full((width,), shift)  # [H, H], [H]
        weight, bias = weight / scale, bias - shift * weight.sum(1)
    return {
        f"{layers.before}.weight": before,
        f"{layers.before}.bias": before_bias,
        f"{layers.head}.weight": weight.float(),
        f"{layers.head}.bias": bias.float(),
    }


def _check_same(model: MtDnn, made: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Compare both on rows of many lengths, padded together. Raises CannotExport."""
    draw = torch.Generator().manual_seed(SEED)
    shortest, longest = TRIED_LENGTHS[0], min(TRIED_LENGTHS[1], int(tokenizer.model_max_length))
    ids = torch.randint(0, len(tokenizer), (TRIED_ROWS, longest), generator=draw)  # [B, L]
    lengths = torch.randint(shortest, longest + 1, (TRIED_ROWS, 1), generator=draw)  # [B, 1]
    mask = (torch.arange(longest) < lengths).long()  # [B, L]
    ids = torch.where(mask.bool(), ids, int(tokenizer.pad_token_id or 0))
    inputs = {"input_ids": ids, "attention_mask": mask}
    task = model.tasks[PRIMARY]
    with torch.inference_mode():
        ours = model.task_logits(model.features(inputs), PRIMARY)  # [B, C]
        theirs = made(**inputs).logits  # [B, C]
    ours = ours if task.classes else ours * task.std + task.mean
    furthest = float((ours - theirs).abs().max())
    if furthest > CLOSE * max(1.0, float(ours.abs().max())):
        told = f"transformers' {type(made).__name__} gives other outputs, by up to {furthest:.2g}"
        raise CannotExport(f"{told}: load it with fastmtl.model.load_model")

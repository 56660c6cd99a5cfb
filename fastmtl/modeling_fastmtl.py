"""A fine-tuned model of FastMTL whose row vector none of transformers' own classes computes.

    AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)

This file lies beside the weights of an exported model; loading them needs nothing else but transformers and torch.

Letters: B rows · L tokens · H hidden width · C outputs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput


class FastMTLConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """What the encoder is, and how the vectors of its tokens become that of a row."""

    model_type = "fastmtl"

    def __init__(self, encoder: dict[str, Any] | None = None, pooling: str = "mean", **others: Any) -> None:  # noqa: ANN401
        self.encoder = encoder or {"model_type": "bert"}
        self.pooling = pooling
        super().__init__(**others)

    @property
    def hidden_size(self) -> int:
        """H."""
        return int(self.encoder["hidden_size"] if "hidden_size" in self.encoder else self.encoder["dim"])


class FastMTLForSequenceClassification(PreTrainedModel):
    """An encoder, the mean or the first of its token vectors, and one linear head."""

    config_class = FastMTLConfig
    base_model_prefix = "encoder"

    def __init__(self, config: FastMTLConfig) -> None:
        super().__init__(config)
        described = dict(config.encoder)
        config_of_encoder = AutoConfig.for_model(described.pop("model_type"), **described)
        self.encoder = AutoModel.from_config(config_of_encoder)  # type: ignore[no-untyped-call]
        self.classifier = nn.Linear(config.hidden_size, config.num_labels or 1)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **others: Any,  # noqa: ANN401 - whatever else the library tells every model
    ) -> SequenceClassifierOutput:
        """Return logits [B, C] of ids and mask [B, L], and the loss where there are labels."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        hidden = self.encoder(input_ids=input_ids, attention_mask=mask, **types).last_hidden_state  # [B, L, H]
        if self.config.pooling == "first":
            row = hidden[:, 0]  # [B, H]
        else:
            real = mask.unsqueeze(-1).to(hidden.dtype)  # [B, L, 1]
            row = (hidden * real).sum(1) / real.sum(1)
        logits = self.classifier(row)
        return SequenceClassifierOutput(loss=self._loss(logits, labels), logits=logits)

    def _loss(self, logits: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor | None:
        if labels is None:
            return None
        if self.config.problem_type == "regression":
            return nn.functional.mse_loss(logits.squeeze(-1), labels.to(logits.dtype))
        return nn.functional.cross_entropy(logits, labels)


FastMTLConfig.register_for_auto_class()  # type: ignore[no-untyped-call]
FastMTLForSequenceClassification.register_for_auto_class(  # type: ignore[no-untyped-call]
    "AutoModelForSequenceClassification"
)

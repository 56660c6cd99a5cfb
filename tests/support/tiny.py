"""Tiny encoders, built offline: the three architectures that differ in what a checkpoint can have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertModel,
    ModernBertConfig,
    ModernBertForMaskedLM,
    ModernBertModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
)

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = (
    "the a cat dog bird fish river city train runs sleeps eats sings swims is was not never always good bad old new "
    "green red blue fast slow big small in on at by and or shop order refund late early price two three ten days"
).split()
POSITIONS = 64


def write_tokenizer(folder: Path, *, token_types: bool) -> None:
    """Write a tokenizer that knows WORDS and splits on space."""
    vocabulary = {word: index for index, word in enumerate([*SPECIAL, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    names = ["input_ids", *(["token_type_ids"] if token_types else []), "attention_mask"]
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=POSITIONS,
        model_input_names=names,
    ).save_pretrained(folder)


def tiny_bert() -> PreTrainedModel:
    """BERT: token types and a pooler."""
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    return BertModel(BertConfig(vocab_size=len(SPECIAL) + len(WORDS), max_position_embeddings=POSITIONS, **size))


def tiny_distilbert() -> PreTrainedModel:
    """DistilBERT: no token types, no pooler."""
    return DistilBertModel(
        DistilBertConfig(
            vocab_size=len(SPECIAL) + len(WORDS),
            max_position_embeddings=POSITIONS,
            dim=32,
            n_layers=2,
            n_heads=2,
            hidden_dim=64,
        )
    )


def tiny_modernbert() -> PreTrainedModel:
    """ModernBERT: rotary positions, no token types, no pooler, alternating attention."""
    return ModernBertModel(
        ModernBertConfig(
            vocab_size=len(SPECIAL) + len(WORDS),
            max_position_embeddings=POSITIONS,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            pad_token_id=0,
            cls_token_id=2,
            sep_token_id=3,
            bos_token_id=2,
            eos_token_id=3,
        )
    )


ENCODERS: dict[str, tuple[Callable[[], PreTrainedModel], bool]] = {
    "bert": (tiny_bert, True),
    "distilbert": (tiny_distilbert, False),
    "modernbert": (tiny_modernbert, False),
}


def tiny_roberta_mlm() -> PreTrainedModel:
    """RoBERTa with its masked language model's head: positions are counted from behind the padding's."""
    return RobertaForMaskedLM(
        RobertaConfig(
            vocab_size=len(SPECIAL) + len(WORDS),
            max_position_embeddings=POSITIONS + 1,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            pad_token_id=0,
            bos_token_id=2,
            eos_token_id=3,
        )
    )


MASKED_LMS: dict[str, tuple[Callable[[], PreTrainedModel], bool]] = {
    "bert-mlm": (lambda: BertForMaskedLM(tiny_bert().config), True),
    "distilbert-mlm": (lambda: DistilBertForMaskedLM(tiny_distilbert().config), False),
    "modernbert-mlm": (lambda: ModernBertForMaskedLM(tiny_modernbert().config), False),
    "roberta-mlm": (tiny_roberta_mlm, False),
}
"""With the head of a masked language model: each names its layers in its own way."""


def write_encoder(name: str, folder: Path) -> Path:
    """Write one of ENCODERS or MASKED_LMS with its tokenizer, the same weights every time."""
    build, token_types = {**ENCODERS, **MASKED_LMS}[name]
    with torch.random.fork_rng():
        torch.manual_seed(7)
        build().save_pretrained(folder)
    write_tokenizer(folder, token_types=token_types)
    return folder

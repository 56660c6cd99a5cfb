"""Texts to token ids to padded batches, against the tokenizer's own batches."""

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from fastmtl.tokens import joined, tokenize

TEXTS = ["the cat runs", "a dog", "the old bird sings in the city and the river", "fish"]
SECONDS = ["a cat eats", "the river is always slow", "bird", "not in the shop"]


@pytest.fixture(params=["bert", "distilbert", "modernbert"])
def tokenizer(request, encoder_folders):
    return AutoTokenizer.from_pretrained(encoder_folders[request.param])


@pytest.mark.parametrize("pairs", [None, SECONDS])
@pytest.mark.parametrize("max_length", [8, 24])
def test_a_padded_batch_is_what_the_tokenizer_itself_would_make(tokenizer, pairs, max_length):
    tokens = tokenize(tokenizer, TEXTS, pairs, max_length)
    rows = np.array([2, 0, 3])
    expected = tokenizer(
        [TEXTS[row] for row in rows],
        [pairs[row] for row in rows] if pairs else None,
        truncation=True,
        max_length=max_length,
        padding=True,
        return_tensors="pt",
    )
    found = tokens.padded(rows, "cpu")
    assert set(found) == set(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_lengths_are_cut_at_the_longest_allowed(tokenizer):
    assert tokenize(tokenizer, TEXTS, SECONDS, 8).lengths.tolist() == [8, 8, 8, 8]
    assert tokenize(tokenizer, TEXTS, None, 24).lengths.tolist() == [5, 4, 12, 3]


def test_no_rows_are_no_tokens(tokenizer):
    assert len(tokenize(tokenizer, [], None, 8)) == 0


def test_runs_put_end_to_end_are_the_same_rows(tokenizer):
    parts = [tokenize(tokenizer, TEXTS[:1], SECONDS[:1], 24), tokenize(tokenizer, TEXTS[1:], SECONDS[1:], 24)]
    whole, rows = tokenize(tokenizer, TEXTS, SECONDS, 24).padded(np.arange(4), "cpu"), np.arange(4)
    put = joined(parts).padded(rows, "cpu")
    assert all(torch.equal(put[name], whole[name]) for name in whole)

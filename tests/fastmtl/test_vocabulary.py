"""The narrow table of embeddings while a model is trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import tiny_bert

from fastmtl.batches import TaskRows
from fastmtl.tokens import Tokens
from fastmtl.vocabulary import Vocabulary

IDS = [7, 9, 7, 12, 9]
OCCURRING = [0, 7, 9, 12]  # 0 is the padding


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return tiny_bert()


def rows() -> TaskRows:
    tokens = Tokens(np.array(IDS, dtype=np.int32), None, np.array([0, 3, 5]), pad_id=0)
    return TaskRows(0, tokens, torch.zeros(2, dtype=torch.int64))


def test_while_it_is_narrow_the_table_holds_the_tokens_that_occur(encoder):
    whole = encoder.get_input_embeddings().weight.detach().clone()
    vocabulary = Vocabulary(encoder, [rows()])
    with vocabulary.narrowed():
        narrow = encoder.get_input_embeddings()
        assert torch.equal(narrow.weight, whole[OCCURRING])
        assert torch.equal(narrow(torch.from_numpy(vocabulary.sources[0].tokens.ids)), whole[IDS])
        assert (narrow.padding_idx, vocabulary.sources[0].tokens.pad_id) == (0, 0)


def test_what_changed_stands_in_the_whole_table_at_the_end(encoder):
    before = encoder.get_input_embeddings().weight.detach().clone()
    with Vocabulary(encoder, [rows()]).narrowed():
        encoder.get_input_embeddings().weight.data[2] += 1  # of token 9
    expected = before.clone()
    expected[9] += 1
    assert torch.equal(encoder.get_input_embeddings().weight, expected)


def test_in_between_the_whole_table_is_there_and_up_to_date(encoder):
    vocabulary = Vocabulary(encoder, [rows()])
    with vocabulary.narrowed():
        encoder.get_input_embeddings().weight.data[1] = 3  # of token 7
        with vocabulary.widened():
            whole = encoder.get_input_embeddings().weight
            assert whole.shape[0] > len(OCCURRING) and (whole[7] == 3).all()
        assert len(encoder.get_input_embeddings().weight) == len(OCCURRING)


def test_a_frozen_table_stays_as_it_is(encoder):
    table = encoder.get_input_embeddings()
    table.weight.requires_grad_(False)
    source = rows()
    vocabulary = Vocabulary(encoder, [source])
    with vocabulary.narrowed(), vocabulary.widened():
        assert encoder.get_input_embeddings() is table
    assert vocabulary.sources == [source]


def test_a_training_that_fails_leaves_the_whole_table_behind(encoder):
    table = encoder.get_input_embeddings()
    with pytest.raises(ZeroDivisionError), Vocabulary(encoder, [rows()]).narrowed():
        raise ZeroDivisionError
    assert encoder.get_input_embeddings() is table

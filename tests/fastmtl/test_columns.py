"""Which column holds what, as said or by the usual names."""

import pytest

from fastmtl.columns import Columns, resolve
from fastmtl.errors import InvalidDataset


@pytest.mark.parametrize(
    ("there", "found"),
    [
        (["text", "label"], Columns("text", None, "label")),
        (["idx", "sentence1", "sentence2", "label"], Columns("sentence1", "sentence2", "label")),
        (["Premise", "Hypothesis", "Gold_Label"], Columns("Premise", "Hypothesis", "Gold_Label")),
        (["question", "sentence", "target"], Columns("question", "sentence", "target")),
        (["question", "score"], Columns("question", None, "score")),
    ],
)
def test_usual_names_are_known(there, found):
    assert resolve(Columns(), there) == found


def test_a_pair_is_preferred_to_a_single_text():
    assert resolve(Columns(), ["text", "text_a", "text_b", "label"]).text_a == "text_a"


def test_naming_the_first_text_alone_means_single_texts():
    assert resolve(Columns(text_a="text_a"), ["text_a", "text_b", "label"]).text_b is None


def test_what_is_said_wins_over_what_is_usual():
    given = Columns(text_a="body", label="stars")
    assert resolve(given, ["text", "label", "body", "stars"]) == Columns("body", None, "stars")


def test_a_name_that_is_not_there_gets_the_near_one_and_all_there_are():
    with pytest.raises(InvalidDataset) as caught:
        resolve(Columns(label="lable"), ["text", "label"])
    (problem,) = caught.value.problems
    assert problem.field == "label"
    assert problem.message == "there is no column 'lable' (did you mean 'label'?); the columns are 'text', 'label'"


def test_everything_that_is_missing_is_told_at_once():
    with pytest.raises(InvalidDataset) as caught:
        resolve(Columns(), ["a", "b"])
    assert [problem.field for problem in caught.value.problems] == ["text_a", "label"]


def test_one_column_cannot_play_two_parts():
    with pytest.raises(InvalidDataset, match="column 'text' cannot be two of"):
        resolve(Columns(text_a="text", label="text"), ["text"])


def test_a_table_of_many_columns_is_not_listed_in_full():
    with pytest.raises(InvalidDataset, match="'c19' and 80 more"):
        resolve(Columns(), [f"c{number}" for number in range(100)])

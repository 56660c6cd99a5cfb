"""What an encoder can serve, told from its files or its location, before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import write_encoder

from fastmtl.config import PACKAGED_ENCODER, EncoderConfig
from fastmtl.encoders import KNOWN, Abilities, abilities, describe


def test_a_folder_with_the_head_can_be_asked_for_masked_tokens(tmp_path: Path):
    known = {"mine": f"folder:{write_encoder('bert-mlm', tmp_path / 'mine')}"}
    assert abilities("mine", known) == Abilities("mine", masked_lm=True)


def test_a_folder_without_the_head_cannot(known: dict[str, str]):
    assert [abilities(name, known) for name in known] == [Abilities(name, masked_lm=False) for name in known]


@pytest.mark.parametrize(
    ("location", "masked_lm"),
    [
        ("hub:somebody/something@main+mlm", True),
        ("hub:somebody/something@main", False),
        ("hub:somebody/some+mlm@main", False),  # part of a name, not of a revision's end
        ("package:no_such_package/model@1", False),
        ("folder:/nowhere", False),
        ("nonsense", False),
    ],
)
def test_a_location_promises_what_it_says_and_what_cannot_be_reached_nothing(location: str, masked_lm: bool):
    assert abilities("mine", {"mine": location}) == Abilities("mine", masked_lm)


@pytest.mark.parametrize("content", ["not json", "{}", '{"architectures": null}', '{"architectures": ["BertModel"]}'])
def test_a_config_that_says_nothing_of_a_head_promises_none(tmp_path: Path, content: str):
    folder = write_encoder("bert-mlm", tmp_path / "mine")
    (folder / "config.json").write_text(content)
    assert abilities("mine", {"mine": f"folder:{folder}"}) == Abilities("mine", masked_lm=False)


def test_the_packaged_encoder_comes_without_the_head():
    assert not abilities(PACKAGED_ENCODER, KNOWN).masked_lm


def test_what_a_location_says_of_the_head_is_no_part_of_a_fingerprint():
    marked, plain = "hub:somebody/something@main+mlm", "hub:somebody/something@main"
    config = EncoderConfig(name="mine")
    assert describe(config, {"mine": marked}) == describe(config, {"mine": plain})

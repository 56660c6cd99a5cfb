"""Where encoders come from, and what is said where one cannot be had."""

import shutil

import pytest

from fastmtl.config import PACKAGED_ENCODER, EncoderConfig
from fastmtl.encoders import KNOWN, describe, resolve
from fastmtl.errors import EncoderUnavailable


def test_the_packaged_encoder_is_on_this_machine():
    folder = resolve(KNOWN[PACKAGED_ENCODER])
    assert (folder / "model.safetensors").is_file()


def test_a_folder_is_taken_as_it_is(encoder_folders):
    assert resolve(f"folder:{encoder_folders['bert']}") == encoder_folders["bert"]


def test_a_path_with_an_at_sign_is_a_path(encoder_folders, tmp_path):
    copy = shutil.copytree(encoder_folders["bert"], tmp_path / "me@home")
    assert resolve(f"folder:{copy}") == copy


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("bert", "it must begin with package:, folder: or hub:"),
        ("folder:/nowhere", "there is no config.json in it"),
        ("package:no_such_package/model@1", "no-such-package, is not installed here"),
        ("hub:somebody/something@main", "could not be fetched from the Hugging Face hub .* FASTMTL_ENCODERS"),
    ],
)
def test_what_cannot_be_had_is_told_with_what_to_do(location, told):
    with pytest.raises(EncoderUnavailable, match=told):
        resolve(location)


def test_weights_that_could_run_code_are_not_read(encoder_folders, tmp_path):
    folder = shutil.copytree(encoder_folders["bert"], tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(EncoderUnavailable, match="holds no safetensors weights"):
        resolve(f"folder:{folder}")


def test_a_fingerprint_names_what_decides_the_result():
    config = EncoderConfig(name="mine", pooling="mean", max_length=64)
    known = {"mine": "folder:/models/mine"}
    expected = {"name": "mine", "location": "folder:/models/mine", "pooling": "mean", "max_length": 64}
    assert describe(config, known) == expected

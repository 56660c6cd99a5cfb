"""Where encoders come from, and what is said where one cannot be had."""

import shutil

import pytest

from fastmtl.config import PACKAGED_ENCODER, EncoderConfig
from fastmtl.encoders import KNOWN, check_allowed, describe, folder_digest, resolve
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


COMMIT = "0123456789abcdef" * 2 + "01234567"


def test_what_a_deployment_allows_by_itself_may_be_allowed():
    check_allowed(KNOWN)


@pytest.mark.parametrize(
    "location",
    [
        f"hub:somebody/some-thing.v2@{COMMIT}",
        f"hub:somebody/something@{COMMIT}+mlm",
        "folder:/nowhere",
        "folder:/me@home/bert",
        f"folder:/nowhere@sha256:{'a' * 64}",
        "package:some_package/model@1",
    ],
)
def test_a_location_that_can_be_kept_to_is_allowed(location):
    check_allowed({"mine": location})


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("hub:somebody/something", "a commit has to be named, hub:owner/name@ and 40 hex digits"),
        ("hub:somebody/something@main", "a branch or a tag can be moved"),
        ("hub:somebody/something@v1.0+mlm", "a commit has to be named"),
        (f"hub:somebody/something@{COMMIT[:39]}", "a commit has to be named"),
        (f"hub:somebody/something@{COMMIT.upper()}", "a commit has to be named"),
        (f"hub:somebody/../something@{COMMIT}", "a commit has to be named"),
        ("folder:/models/bert@sha256:abc", "after @sha256: come the 64 hex digits"),
        ("bert-base-cased", "it must begin with package:, folder: or hub:"),
        ("https://example.org/bert", "it must begin with package:, folder: or hub:"),
    ],
)
def test_a_location_that_leads_anywhere_is_not_allowed(location, reason):
    with pytest.raises(ValueError, match="the encoder 'mine' is not allowed as") as refused:
        check_allowed({"fine": "folder:/nowhere", "mine": location})
    assert reason in str(refused.value)


def test_the_digest_of_a_folder_is_of_its_files_by_name(tmp_path):
    (tmp_path / "b").write_text("a\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_text("c\n")
    # find -L . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum
    assert folder_digest(tmp_path) == "745932fcdd2a73b47ea199cef3d008dee8556202b0b21bd5f1c506d9dba8a6c7"


def test_a_folder_with_a_digest_is_taken_until_a_file_of_it_changes(encoder_folders, tmp_path):
    folder = shutil.copytree(encoder_folders["bert"], tmp_path / "me@home")
    location = f"folder:{folder}@sha256:{folder_digest(folder)}"
    assert resolve(location) == folder
    with (folder / "tokenizer.json").open("a") as file:
        file.write(" ")
    with pytest.raises(EncoderUnavailable, match=f"their digest is {folder_digest(folder)}, not"):
        resolve(location)


@pytest.mark.parametrize("shown", [True, False])
def test_a_download_says_how_far_it_is_whether_its_bars_are_shown_or_not(encoder_folders, monkeypatch, shown):
    def download(name: str, revision: str, allow_patterns: list[str], tqdm_class: type) -> str:
        bytes_, files = tqdm_class(total=30, unit="B", disable=not shown), tqdm_class(range(2), disable=not shown)
        bytes_.update(10)
        bytes_.update(20)
        assert list(files) == [0, 1]
        files.update(1)
        for bar in (bytes_, files):
            bar.close()
        return str(encoder_folders["bert"])

    told = []
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert resolve(f"hub:google/bert@{'0' * 40}", lambda *progress: told.append(progress)) == encoder_folders["bert"]
    assert [(10, 30, "bytes"), (30, 30, "bytes")] == [each for each in told if each[2] == "bytes"]
    assert (1, 2, "files") in told

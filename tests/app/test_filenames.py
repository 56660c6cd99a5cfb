"""What a file is said to be on its way to a client."""

from __future__ import annotations

import pytest

from app.filenames import disposition, media_type


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("scores.parquet", "application/vnd.apache.parquet"),
        ("report.json", "application/json"),
        ("heads.safetensors", "application/octet-stream"),
    ],
)
def test_a_media_type_comes_from_the_name(name: str, kind: str):
    assert media_type(name) == kind


def test_a_plain_name_is_said_once_and_another_twice():
    assert disposition("model (1).bin") == 'attachment; filename="model (1).bin"'
    assert disposition('ä"\\.bin') == "attachment; filename=\"___.bin\"; filename*=UTF-8''%C3%A4%22%5C.bin"

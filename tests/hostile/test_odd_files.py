"""Files of odd shapes by the command: each becomes a dataset, or the command says what to change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from odd_files import ODD, REFUSED, WORKING
from service import Api, api
from shell import Shell, shell_of

from app.exits import Exit


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    home = tmp_path_factory.mktemp("odd") / "home"
    with pytest.MonkeyPatch.context() as patch, api(home) as inner, shell_of(Api(inner, home), patch) as shell:
        yield shell


def words(folder: Path, name: str) -> list[str]:
    """Write a file, and return the command that uploads it."""
    odd = ODD[name]
    path = folder / f"{name}.{odd.suffix}"
    path.write_bytes(odd.content)
    options = [word for key, value in odd.options.items() for word in (f"--{key.replace('_', '-')}", value)]
    return ["datasets", "upload", str(path), *options]


@pytest.mark.parametrize("name", WORKING)
def test_it_becomes_a_dataset_that_holds_what_the_file_does(shell: Shell, tmp_path: Path, name: str):
    odd = ODD[name]
    made = shell.json(*words(tmp_path, name))
    row = shell.hand.client.get(f"/v1/datasets/{made['id']}/rows/0").json()
    shown = row["text_a"] if len(odd.first) <= 2000 else odd.first  # a long text is shown cut short
    assert (made["name"], made["rows"], shown) == (name, odd.rows, odd.first)
    assert tuple(each["label"] for each in made["labels"]) == odd.labels
    assert made["lengths"]["longest"] >= len(odd.first)


@pytest.mark.parametrize("name", REFUSED)
def test_its_refusal_says_what_to_change(shell: Shell, tmp_path: Path, name: str):
    code, told = shell.refused(*words(tmp_path, name))
    assert code == Exit.USAGE
    assert [each for each in REFUSED[name].told if each not in told] == [], told

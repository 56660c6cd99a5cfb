"""What two jobs chose in common."""

from __future__ import annotations

from pathlib import Path

import pytest
from looked_at import ANIMALS, job_files

from app.job_overlap import overlap_of


def test_a_row_is_the_same_if_dataset_and_number_are(tmp_path: Path):
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    ours = job_files(tmp_path / "ours")  # shops 1, animals 0 and 2
    theirs = job_files(tmp_path / "theirs", chosen=(("animals", 1, 0.9), ("animals", 0, 0.5)))
    found = overlap_of(ours, theirs)
    assert (found.rows, found.other_rows, found.common, found.share) == (3, 2, 1, 0.25)  # 1 of 3 + 2 - 1
    animals = next(each for each in found.datasets if each.dataset_id == ANIMALS)
    assert animals.model_dump(exclude={"dataset_id"}) == {
        **{"dataset": "animals", "rows": 2, "other_rows": 2, "common": 1},
        **{"share": pytest.approx(2 / 3), "other_share": 1.0},
    }


def test_a_job_has_all_in_common_with_itself(tmp_path: Path):
    files = job_files(tmp_path)
    found = overlap_of(files, files)
    assert (found.common, found.share, [each.common for each in found.datasets]) == (3, 1.0, [2, 1])


def test_a_dataset_has_another_key_in_the_other_job(tmp_path: Path):
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    ours, theirs = (job_files(tmp_path / name) for name in ("ours", "theirs"))
    theirs.auxiliary["animals"] = theirs.auxiliary["animals"]._replace(key="beasts")
    assert [each.dataset for each in overlap_of(ours, theirs).datasets] == ["animals", "shops"]

"""docs/methods.md tells of every method, selector and setting, with no figure that the evidence does not have."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fenced import blocks, run_shell, table_between

from fastmtl import methods, selectors

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "methods.md").read_text()
EVIDENCE = (ROOT / "docs" / "evidence.md").read_text()
SECTIONS = dict(re.findall(r"^### `(\w+)`\n\n(.*?)(?=\n##|\Z)", PAGE, re.MULTILINE | re.DOTALL))
KINDS = [("methods", name) for name in methods.names()] + [("selectors", name) for name in selectors.names()]


def test_every_method_and_selector_has_a_section_and_nothing_else_has():
    assert set(SECTIONS) == {*methods.names(), *selectors.names()}


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_every_setting_is_told_of_and_none_that_is_not_there(kind: str, name: str):
    fields = set({"methods": methods, "selectors": selectors}[kind].get(name).Options.model_fields)
    listed = " ".join(re.findall(r"^- ((?:`\w+`(?:, )?)+)", SECTIONS[name], re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", listed)) <= fields <= set(re.findall(r"`(\w+)`", SECTIONS[name]))


def test_the_figures_are_those_of_the_evidence():
    planted = {
        (method, task): (mean.partition(" ")[0], seconds)
        for method, task, _, mean, seconds, *_ in table_between(EVIDENCE, "planted")
    }
    rows = table_between(PAGE, "found")
    assert {method for method, _ in planted} - {"`discriminator (ce)`, 8 epochs"} == {row[0] for row in rows}
    for method, rte, rte_seconds, sst2, sst2_seconds in rows:
        assert planted[method, "RTE"] == (rte, rte_seconds)
        assert planted[method, "SST2"] == (sst2, sst2_seconds)


def test_its_blocks_run(tmp_path: Path):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    run_shell(blocks(PAGE, "sh"), tmp_path, {})
    assert pq.read_metadata(tmp_path / "chosen" / "selection.parquet").num_rows == 50
    for block in blocks(PAGE, "python"):
        exec(compile(block, "docs/methods.md", "exec"), {})


def test_every_file_that_is_linked_exists():
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", PAGE)
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []

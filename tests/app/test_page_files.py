"""The page's files: nothing in them needs another machine, or what the policy forbids."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from app.page_files import FOLDER, POLICY, read_page

MAX_COMPRESSED_BYTES = 1_500_000
OURS = sorted(path for path in FOLDER.glob("*") if path.suffix in (".js", ".css", ".html", ".svg"))
MODULES = [path for path in OURS if path.suffix == ".js"]


@pytest.mark.parametrize("shell", ["shell", "reference"])
def test_a_shell_names_the_files_by_their_version(shell: str):
    page = read_page()
    named = re.findall(r'(?:src|href)="/pages/(\w+)/([\w./-]+)"', getattr(page, shell).body.decode())
    assert {version for version, _ in named} == {page.version}
    assert {name for _, name in named} <= set(page.files)
    assert len(named) >= 4


def test_another_byte_is_another_version(tmp_path: Path):
    for name in ("index.html", "reference.html", "main.js"):
        (tmp_path / name).write_text("{version}")
    first = read_page(tmp_path)
    (tmp_path / "LICENSE").touch()  # not served
    second = read_page(tmp_path)
    (tmp_path / "main.js").write_text("{version} ")
    third = read_page(tmp_path)
    assert first.version == second.version != third.version
    assert (third.shell.body, third.files["main.js"].body) == (third.version.encode(), b"{version} ")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_module_imports_what_is_there(path: Path):
    named = re.findall(r'^(?:import|\} from|import .* from) .*?"(.*?)";', path.read_text(), re.MULTILINE)
    named += re.findall(r'import\("(.*?)"\)', path.read_text())
    assert [name for name in named if not (FOLDER / name).exists()] == []


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_nothing_is_fetched_from_elsewhere_and_no_text_becomes_html(path: Path):
    text = path.read_text().replace("http://www.w3.org/2000/svg", "")
    forbidden = r"https?://|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
    forbidden += r"|localStorage|sessionStorage|document\.cookie"
    assert re.findall(forbidden, text) == []


@pytest.mark.parametrize("name", ["index.html", "reference.html"])
def test_a_shell_has_no_script_or_style_of_its_own(name: str):
    shell = (FOLDER / name).read_text()
    assert re.findall(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", shell) == []
    assert "unsafe" not in POLICY


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_files_are_short_enough_to_be_read_at_once(path: Path):
    assert len(path.read_text().splitlines()) <= 350


def test_what_was_taken_over_comes_with_its_licence():
    names = {path.name.partition(".")[0] for path in (FOLDER / "vendor").iterdir()}
    assert [name for name in names if not (FOLDER / "vendor" / f"{name}.LICENSE").exists()] == []


def test_scripts_and_styles_are_light():
    files = read_page().files
    assert sum(len(each.gzipped) for each in files.values()) < MAX_COMPRESSED_BYTES
    assert all(gzip.decompress(each.gzipped) == each.body for each in files.values())

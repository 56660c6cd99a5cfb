"""Files that mean harm, sent to a served API: each is refused in words and in time, and nothing is hurt or left.

Half of them are tried every time, the others with the slow tests.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from hostile import Hostile
from hostile_files import FILES, MAX_GROWTH_BYTES, MAX_PARSER_BYTES, attempt, small_file
from serving import ApiProcess, api_process


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    with api_process(tmp_path_factory.mktemp("hostile") / "home") as process:
        yield process


@pytest.fixture(scope="module")
def client(process: ApiProcess) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=process.url, headers=process.headers, timeout=60) as client:
        small_file(client)  # it loads what it needs
        yield client


def slow_or_not(name: str, file: Hostile) -> object:
    return pytest.param(name, id=name, marks=[] if file.short else [pytest.mark.slow])


def test_there_are_as_many_as_there_should_be():
    short = [name for name, file in FILES.items() if file.short]
    assert (len(FILES) >= 60, 25 <= len(short) <= 45) == (True, True), (len(FILES), len(short))


@pytest.mark.parametrize("name", [slow_or_not(name, file) for name, file in FILES.items()])
def test_it_is_refused_in_words_and_in_time_and_nothing_is_hurt(process: ApiProcess, client: httpx2.Client, name: str):
    found = attempt(process, client, FILES[name])
    assert found.wrong == []
    assert found.in_time and found.parser_bytes <= MAX_PARSER_BYTES, found
    assert found.growth_bytes <= MAX_GROWTH_BYTES, found


HARMLESS = {
    "formulas": ("\"=cmd|' /C calc'!A0\",a\n+1+1,b\n@SUM(A1),a\n", "=cmd|' /C calc'!A0"),
    "markup": ("<script>alert(1)</script>,a\nx,b\n", "<script>alert(1)</script>"),
    "a query": ("'; DROP TABLE datasets; --,a\nx,b\n", "'; DROP TABLE datasets; --"),
    "words that mean nothing elsewhere": ("NULL,a\nNaN,b\nundefined,a\n", "NULL"),
    "marks that turn the line": ("\u202egnp.exe,a\nx,b\n", "\u202egnp.exe"),
    "a path": ("../../../etc/passwd,a\nx,b\n", "../../../etc/passwd"),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_looks_like_harm_is_kept_as_it_is(client: httpx2.Client, name: str):
    rows, expected = HARMLESS[name]
    answer = client.post("/v1/datasets", content=("text,label\n" + rows).encode())
    assert (answer.status_code, answer.json()["examples"][0]["text_a"]) == (201, expected)


@pytest.mark.parametrize(
    "path", ["../../../../escaped.csv", "/etc/escaped.csv", "C:\\\\escaped.csv", "a/../escaped.csv"]
)
def test_a_path_for_a_name_names_and_nothing_else(process: ApiProcess, client: httpx2.Client, path: str):
    head = f'--x\r\nContent-Disposition: form-data; name="file"; filename="{path}"\r\n\r\n'
    body = head.encode() + b"text,label\na,1\nb,0\n\r\n--x--\r\n"
    answer = client.post("/v1/datasets", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert (answer.status_code, answer.json()["name"]) == (201, "escaped")
    assert list(process.home.parent.rglob("*escaped*")) == []

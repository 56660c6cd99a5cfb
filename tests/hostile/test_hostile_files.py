"""Files that mean harm, sent to a served API: each is refused in words and in time, and nothing is hurt or left.

Half of them are tried every time, the others with the slow tests.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import httpx2
import pytest
from hostile import MIB, Hostile
from hostile_binary import BINARY
from hostile_parquet import PARQUET
from hostile_text import TEXT
from serving import ApiProcess, api_process, peak

FILES = {**TEXT, **BINARY, **{f"Parquet: {name}": file for name, file in PARQUET.items()}}
MAX_SECONDS = 10
MAX_PARSER_BYTES = 2048 * MIB
MAX_GROWTH_BYTES = 64 * MIB


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    with api_process(tmp_path_factory.mktemp("hostile") / "home") as process:
        yield process


@pytest.fixture(scope="module")
def client(process: ApiProcess) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=process.url, headers=process.headers, timeout=60) as client:
        small_file(client)  # it loads what it needs
        yield client


def small_file(client: httpx2.Client) -> float:
    """Upload two rows and return how many seconds that took."""
    began = time.monotonic()
    client.post("/v1/datasets", content=b"text,label\na,1\nb,0\n").raise_for_status()
    return time.monotonic() - began


def in_time(client: httpx2.Client, seconds: float) -> bool:
    """Whether that is as quick as it should be; a machine that is busy with others is given as much more as it needs.

    Two rows take less than a second where nothing else runs.
    """
    return seconds <= MAX_SECONDS or seconds <= MAX_SECONDS * small_file(client)


class Watch:
    """Looks after the processes that read uploads: the most memory that any of them had."""

    def __init__(self, process: ApiProcess) -> None:
        self._process = process
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.peak = 0

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.01):
            self.peak = max([self.peak, *(peak(pid) or 0 for pid in self._process.parsers())])


def slow_or_not(name: str, file: Hostile) -> object:
    return pytest.param(name, id=name, marks=[] if file.short else [pytest.mark.slow])


def test_there_are_as_many_as_there_should_be():
    short = [name for name, file in FILES.items() if file.short]
    assert (len(FILES) >= 60, 25 <= len(short) <= 45) == (True, True), (len(FILES), len(short))


@pytest.mark.parametrize("name", [slow_or_not(name, file) for name, file in FILES.items()])
def test_it_is_refused_in_words_and_in_time_and_nothing_is_hurt(process: ApiProcess, client: httpx2.Client, name: str):
    file = FILES[name]
    chunks = list(file.chunks()) if not file.slow else file.chunks()
    before, began = process.memory, time.monotonic()
    with Watch(process) as watch:
        answer = client.post("/v1/datasets", params=file.options, headers=file.headers, content=iter(chunks))
    seconds = time.monotonic() - began
    problem = answer.json()
    assert (answer.status_code, answer.headers["Content-Type"]) == (file.status, "application/problem+json"), problem
    assert file.told in problem["detail"], problem["detail"]
    assert all(len(each["message"]) <= 2000 for each in problem.get("errors", []))
    assert in_time(client, seconds) and watch.peak <= MAX_PARSER_BYTES, (seconds, watch.peak / MIB)
    assert client.get("/v1/health", timeout=1).status_code == 200
    assert (process.left(), process.parsers()) == ([], [])
    assert process.memory - before <= MAX_GROWTH_BYTES


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

"""Uploads: bytes a second onto disk and into the canonical form, against `cp` of the same file.

    python benchmarks/speed/upload.py --data GLUE --mib 512

The file is MNLI's rows as `csv` writes them, again and again. In turn: `cp`; the bytes sent to a part of an upload
of a running API on loopback, which digests them as they come; `fastmtl.convert` as the API starts it, from the file to
Parquet; and POST /v1/datasets, which is the last two.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import http.client
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import kit
from requests import Service

MIB = 2**20


def write_csv(path: Path, data: Path, size: int) -> int:
    """Write so many bytes, and the rest of the last round; return the rows."""
    texts = kit.read(data, "mnli", 100_000)
    rows = list(zip(texts.text_a, texts.text_b or [], texts.labels, strict=True))
    count = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text_a", "text_b", "label"])
        while file.tell() < size:
            writer.writerows(rows)
            count += len(rows)
    return count


class Client:
    """Sends a file with as little work as can be: this machine is the server's, too."""

    def __init__(self, service: Service) -> None:
        self._host = urlsplit(service.url).netloc
        self._headers = service.headers

    def send(self, method: str, path: str, expected: int, file: Path | None = None, **headers: str) -> dict[str, str]:
        """Send a request and return the answer's headers; `file` is the body."""
        connection = http.client.HTTPConnection(self._host, timeout=600)
        connection.putrequest(method, path)
        length = file.stat().st_size if file else 0
        for name, value in {**self._headers, **headers, "Content-Length": str(length)}.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        if file is not None:
            with file.open("rb") as opened:
                connection.sock.sendfile(opened)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == expected, (answer.status, body[:500])
        return {name.lower(): value for name, value in answer.getheaders()}

    def stream(self, file: Path, checksum: str) -> None:
        """Send all but the last byte of an upload, so that nothing is read of it."""
        tus = {"Tus_Resumable": "1.0.0"}
        made = self.send("POST", "/v1/uploads", 201, Upload_Length=str(file.stat().st_size + 1), **tus)
        path = urlsplit(made["location"]).path
        part = {"Content_Type": "application/offset+octet-stream", "Upload_Offset": "0"}
        self.send("PATCH", path, 204, file, Upload_Checksum=f"sha256 {checksum}", **part, **tus)

    def upload(self, file: Path) -> None:
        """Make a dataset of the file."""
        self.send("POST", "/v1/datasets?name=speed&format=csv", 201, file)


def parse(source: Path, target: Path) -> None:
    """Read the file as the API does."""
    command = [sys.executable, "-m", "fastmtl.convert", source, target, "--options-json", '{"file_format": "csv"}']
    answer = subprocess.run([*command, "--memory-bytes", str(2**31)], check=True, capture_output=True, text=True)
    assert "summary" in json.loads(answer.stdout), answer.stdout[:500]


def processor_seconds(act: Callable[[], object]) -> float:
    """Return the processor time of the processes that something starts: what it takes on a busy machine, too."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    act()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and write down."""
    parser = kit.parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--mib", type=int, default=512)
    parser.add_argument("--port", type=int, default=18_791)
    given = parser.parse_args()
    about = kit.machine()
    with tempfile.TemporaryDirectory() as scratch:
        source, home = Path(scratch, "source.csv"), Path(scratch, "home")
        home.mkdir()
        rows = write_csv(source, given.data, given.mib * MIB)
        size = source.stat().st_size
        with source.open("rb") as file:
            checksum = base64.b64encode(hashlib.file_digest(file, "sha256").digest()).decode()
        service = Service(home, given.port)
        client = Client(service)
        acts = {
            "cp": partial(subprocess.run, ["cp", source, Path(scratch, "copy.csv")], check=True),
            "stream": partial(client.stream, source, checksum),
            "parse": partial(parse, source, Path(scratch, "data.parquet")),
            "upload": partial(client.upload, source),
        }
        try:
            took = kit.in_turn(acts, given.turns)
            worked = [processor_seconds(acts["parse"]) for _ in range(given.turns)]
        finally:
            service.stop()
    speeds = {name: [size / MIB / each for each in found] for name, found in took.items()}
    result = {
        "mib": round(size / MIB),
        "rows": rows,
        "bytes_per_row": round(size / rows),
        "mib_per_second": {name: kit.spread(found, 0) for name, found in speeds.items()},
        "parsed_mib_per_processor_second": kit.spread([size / MIB / each for each in worked], 0),
        "share_of_cp": {
            name: kit.spread([mine / theirs for mine, theirs in zip(found, speeds["cp"], strict=True)])
            for name, found in speeds.items()
            if name != "cp"
        },
        "machine": about,
    }
    kit.write("upload", result, given.results)


if __name__ == "__main__":
    main()

"""Hostile files that are no text: archives, bombs, pickles, other formats, requests that are broken."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import tarfile
import zipfile

import numpy as np
import pyarrow as pa
from hostile import MIB, Hostile, noise, whole
from pyarrow import feather, ipc, orc

GOOD = b"text,label\na cat,1\na dog,0\n"
TABLE = pa.table({"text": ["a cat", "a dog"], "label": [1, 0]})
DECOMPRESS, AS_PARQUET = "decompress it first", "save it as Parquet"


class Exploit:
    """Ends the process that unpickles it."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (0,)


def zipped(content: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../rows.csv", content)
    return sink.getvalue()


def tarred(content: bytes) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        entry = tarfile.TarInfo("/etc/passwd")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return sink.getvalue()


def arrow(stream: bool) -> bytes:
    sink = io.BytesIO()
    with (ipc.new_stream if stream else ipc.new_file)(sink, TABLE.schema) as writer:
        writer.write_table(TABLE)
    return sink.getvalue()


def by(write: object) -> bytes:
    """Return what a writer of files writes."""
    sink = pa.BufferOutputStream()
    write(TABLE, sink)  # type: ignore[operator]
    return sink.getvalue().to_pybytes()


def npy() -> bytes:
    sink = io.BytesIO()
    np.save(sink, np.array([{"a": 1}]), allow_pickle=True)
    return sink.getvalue()


BOMB = bytes(20 * MIB)
ARCHIVES = {
    "a ZIP bomb": Hostile("a ZIP archive", lambda: [zipped(BOMB)], short=True),
    "an empty ZIP archive": Hostile("a ZIP archive", whole(b"PK\x05\x06" + bytes(18))),
    "a gzip bomb": Hostile(DECOMPRESS, lambda: [gzip.compress(BOMB)], short=True),
    "gzip that says it is CSV": Hostile(DECOMPRESS, lambda: [gzip.compress(GOOD)], {"format": "csv"}),
    "zstd": Hostile(DECOMPRESS, lambda: [pa.Codec("zstd").compress(GOOD).to_pybytes()]),
    "lz4": Hostile(DECOMPRESS, lambda: [pa.Codec("lz4").compress(GOOD).to_pybytes()]),
    "bzip2": Hostile(DECOMPRESS, lambda: [bz2.compress(BOMB)]),
    "xz": Hostile(DECOMPRESS, lambda: [lzma.compress(GOOD)]),
    "7z": Hostile("unpack it first", noise(1000, b"7z\xbc\xaf\x27\x1c")),
    "RAR": Hostile("unpack it first", noise(1000, b"Rar!\x1a\x07\x01\x00")),
    "tar with a path of its own": Hostile("unpack it first", lambda: [tarred(GOOD)]),
}
FORMATS = {
    "a pickle that ends its reader": Hostile("never opened", lambda: [pickle.dumps(Exploit())], short=True),
    "the same as text": Hostile("no column is known", lambda: [pickle.dumps(Exploit(), protocol=0)]),
    "the same that says it is Parquet": Hostile(
        "never opened", lambda: [pickle.dumps(Exploit())], {"format": "parquet"}
    ),
    "an array of NumPy with a pickle in it": Hostile(AS_PARQUET, lambda: [npy()]),
    "an old workbook": Hostile("an old Excel workbook", noise(1000, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")),
    "a workbook": Hostile("an Excel workbook", lambda: [zipped(b"<workbook/>")]),
    "a PDF": Hostile("a PDF", noise(1000, b"%PDF-1.7\n")),
    "an Arrow file": Hostile(AS_PARQUET, lambda: [arrow(stream=False)], short=True),
    "an Arrow stream": Hostile(AS_PARQUET, lambda: [arrow(stream=True)]),
    "a Feather file": Hostile(AS_PARQUET, lambda: [by(feather.write_feather)]),
    "an ORC file": Hostile(AS_PARQUET, lambda: [by(orc.write_table)]),
    "an Avro file": Hostile(AS_PARQUET, noise(1000, b"Obj\x01")),
    "an HDF5 file": Hostile(AS_PARQUET, noise(1000, b"\x89HDF\r\n\x1a\n")),
    "a database": Hostile(AS_PARQUET, noise(1000, b"SQLite format 3\0")),
    "an image": Hostile("an image", noise(1000, b"\x89PNG\r\n\x1a\n")),
    "a program": Hostile("a program", noise(1000, b"\x7fELF\x02\x01\x01")),
}

FORM = {"Content-Type": "multipart/form-data; boundary=x"}
FILE = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
END = b"\r\n--x--\r\n"


def field(name: str, value: bytes) -> bytes:
    return f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value + b"\r\n"


def form(told: str, content: bytes, status: int = 400, short: bool = False) -> Hostile:
    return Hostile(told, whole(content), headers=FORM, status=status, short=short)


FORMS = {
    "a form without an end": form("ended before its last boundary", FILE + GOOD),
    "a form with two files": form("two parts named 'file'", FILE + GOOD + b"\r\n" + FILE + GOOD + END, short=True),
    "a form with a field of a megabyte": form("larger than 10,000", field("name", b"x" * MIB) + FILE + GOOD + END),
    "a form with a thousand fields": form(
        "larger than 100", b"".join(field(f"f{each}", b"x") for each in range(1000)) + FILE + GOOD + END
    ),
    "a form with a header of a megabyte": form(
        "header size exceeded", b"--x\r\nContent-Disposition: " + b"x" * MIB + b"\r\n\r\n" + END
    ),
    "a form that is none": form("not the form that", b"\0" * 1000),
    "a form with a field that is not known": form("unknown field", field("lable", b"x") + FILE + GOOD + END, 422),
    "a form with a name of two lines": form("pattern", field("name", b"a\nb") + FILE + GOOD + END, 422),
    "a form that is declared to be another": Hostile(
        "Content-Digest declares",
        whole(FILE + GOOD + END),
        headers={**FORM, "Content-Digest": "sha-256=:" + "A" * 43 + "=:"},
        short=True,
    ),
    "a path for a name, and nothing in it": form(
        "the file is empty", FILE.replace(b"a.csv", b"../../../../a.csv") + END, 422
    ),
}

BINARY = {**ARCHIVES, **FORMATS, **FORMS}

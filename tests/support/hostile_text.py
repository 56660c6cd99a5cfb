"""Hostile files that say they are text: CSV, TSV and lines of JSON, and what pretends to be."""

from __future__ import annotations

import json

from hostile import MIB, Chunks, Hostile, noise, repeated, whole

GIB = 1024 * MIB
HEAD = "text,label\n"
GOOD = HEAD + "a cat,1\na dog,0\n"
LINE = '{"text": "a cat", "label": 1}\n'


def csv(rows: str | bytes) -> Chunks:
    return whole(HEAD.encode() + (rows if isinstance(rows, bytes) else rows.encode()))


def jsonl(line: str) -> Chunks:
    return whole(LINE + line + "\n")


ENCODING = {
    "no byte at all": Hostile("the file is empty", whole(b""), short=True),
    "a byte order mark alone": Hostile("the file is empty", whole(b"\xef\xbb\xbf")),
    "a megabyte of spaces": Hostile("bytes of the file are blank", repeated(b" ", MIB)),
    "a megabyte of NUL": Hostile("a NUL byte at offset 0", repeated(b"\0", MIB)),
    "NUL in the header": Hostile("a NUL byte at offset 4", whole(b"text\0,label\na,1\n")),
    "NUL in a cell": Hostile("line 2: a NUL byte at offset 12", csv("a\0b,1\n"), short=True),
    "Latin-1": Hostile("not UTF-8: byte 0xe9", csv("café,1\n".encode("latin-1")), short=True),
    "an overlong slash": Hostile("not UTF-8: byte 0xc0", csv(b"..\xc0\xaf..,1\n")),
    "half of a surrogate pair in UTF-8": Hostile("not UTF-8: byte 0xed", csv(b"\xed\xa0\x80,1\n")),
    "a letter cut at the end": Hostile("not UTF-8: byte 0xe2", csv(b"a,1\nb,0\nc\xe2\x82")),
    "UTF-16": Hostile("UTF-16 or UTF-32", whole(GOOD.encode("utf-16")), short=True),
    "UTF-16 without a mark": Hostile("NUL", whole(GOOD.encode("utf-16-le"))),
    "UTF-32": Hostile("UTF-16 or UTF-32", whole(b"\0\0\xfe\xff" + GOOD.encode("utf-32-be"))),
    "two byte order marks": Hostile("no column is known as the text", whole(b"\xef\xbb\xbf" * 2 + GOOD.encode())),
    "noise": Hostile("", noise(MIB)),
    "noise after a byte order mark": Hostile("", noise(MIB, b"\xef\xbb\xbf")),
}

DELIMITED = {
    "a header alone": Hostile("the file has no rows", whole(HEAD)),
    "a column named twice": Hostile("names 'text' twice", whole("text,text,label\na,b,1\n"), short=True),
    "columns without names": Hostile("names '' twice", whole(",,,\n1,2,3,4\n")),
    "a name of a megabyte": Hostile("1,048,576 characters", whole("x" * MIB + ",label\na,1\n"), short=True),
    "a million columns": Hostile(
        "1,000,000 columns", whole(",".join(f"c{each}" for each in range(1_000_000)) + "\n"), short=True
    ),
    "a million cells in a row": Hostile("too many cells: 1000002", csv("a,1" + "," * 1_000_000 + "\n")),
    "rows of all widths": Hostile("too few cells", csv("".join("a" + ",1" * (row % 5) + "\n" for row in range(1000)))),
    "a line of nine megabytes": Hostile(
        "longer than 8,388,608 bytes", repeated(b"x", 9 * MIB, HEAD.encode()), short=True
    ),
    "a field of a hundred megabytes": Hostile(
        "longer than 8,388,608 bytes", repeated(b"x ", 100 * MIB, b'text,label\n"', b'",1\n'), slow=True
    ),
    "a line of a gibibyte": Hostile("longer than 8,388,608 bytes", repeated(b"x", GIB), slow=True),
    "a quote over a gibibyte": Hostile(
        "a quote that is never closed", repeated(b"a,1\n", GIB, b'text,label\n"'), slow=True
    ),
    "a quote that is never closed": Hostile("a quote that opens in this row", csv('a,1\n"b,0\nc,1\n'), short=True),
    "text after a quote": Hostile("text follows a closing quote", csv('"a"b,1\n')),
    "lines of an old Macintosh": Hostile("a carriage return stands alone", whole(GOOD.replace("\n", "\r"))),
    "ten million empty lines": Hostile("blank lines, and only", repeated(b"\n", 10_000_000, GOOD.encode()), short=True),
    "a gibibyte of empty lines": Hostile("blank lines, and only", repeated(b"\r\n", GIB, GOOD.encode()), slow=True),
    "HTML": Hostile("a web page or XML", whole("<!DOCTYPE html><html><body>Sign in</body></html>"), short=True),
    "a billion laughs": Hostile(
        "a web page or XML",
        whole('<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;">]><lolz>&b;</lolz>'),
    ),
    "YAML that makes objects": Hostile("no column is known", whole("!!python/object/apply:os.system ['true']\n")),
    "a file that waits in Git LFS": Hostile(
        "what Git LFS keeps", whole(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n")
    ),
}

VALUES = {
    "a text of a hundred thousand and one": Hostile("100,000 are the most", csv("x" * 100_001 + ",1\n")),
    "a text of spaces of all kinds": Hostile("the text is empty", csv("\u2003\u00a0\t,1\n")),
    "a label of ten thousand digits": Hostile("1,000 are the most", csv("a," + "9" * 10_000 + "\n"), short=True),
    "a label of a thousand digits": Hostile("a finite number", csv("a," + "9" * 1000 + "\n")),
    "labels that are no numbers": Hostile("a finite number", csv("a,nan\nb,inf\nc,-Infinity\nd,1e999\n"), short=True),
    "a number beyond 32 bits": Hostile("do not fit", csv("a,1e300\nb,0.5\n"), {"kind": "regression"}),
    "a formula for a number": Hostile("not a number", csv("a,=1+1\nb,0.5\n"), {"kind": "regression"}, short=True),
    "more classes than there may be": Hostile(
        "more than 1,000 different labels", csv("".join(f"a{row},c{row}\n" for row in range(5000)))
    ),
    "one class": Hostile("one class only", csv("a,1\nb,1\n")),
}

JSON = {
    "arrays in arrays": Hostile("nested too deeply", jsonl('{"text": ' + "[" * 500_000), short=True),
    "objects in objects": Hostile("nested too deeply", jsonl('{"a":' * 500_000)),
    "arrays in arrays at the start": Hostile("", whole("[" * MIB)),
    "an array of rows": Hostile("a JSON array", whole(f"[{LINE.strip()},{LINE.strip()}]"), short=True),
    "a number of five thousand digits": Hostile(
        "thousands of digits", jsonl('{"text": "a", "label": ' + "9" * 5000 + "}")
    ),
    "a label of two thousand digits": Hostile(
        "a number of some 2,000 digits", jsonl('{"text": "a", "label": ' + "9" * 2000 + "}")
    ),
    "a key twice": Hostile(
        "the key 'label' stands there twice", jsonl('{"text": "a", "label": 1, "label": 2}'), short=True
    ),
    "NaN and Infinity": Hostile(
        "a finite number", jsonl('{"text": "a", "label": NaN}\n{"text": "b", "label": -Infinity}'), short=True
    ),
    "a million keys": Hostile(
        "columns, and 1,000 are the most", whole(json.dumps({f"k{each}": 1 for each in range(500_000)}))
    ),
    "millions of empty lists": Hostile(
        "", whole('{"text": "a", "label": [' + "[]," * 2_700_000 + "[]]}\n"), short=True
    ),
    "a string of nine megabytes": Hostile("longer than 8,388,608 bytes", jsonl(json.dumps({"text": "x" * 9 * MIB}))),
    "a string of a gibibyte": Hostile(
        "longer than 8,388,608 bytes", repeated(b"x", GIB, b'{"label": 1, "text": "', b'"}\n'), slow=True
    ),
    "half of a surrogate pair": Hostile(
        "half of a surrogate pair", jsonl('{"text": "\\ud800", "label": 1}'), short=True
    ),
    "half of a surrogate pair for a key": Hostile("half of a surrogate pair", whole('{"\\ud800": 1, "label": 1}\n')),
    "an escaped NUL": Hostile("a NUL character", jsonl('{"text": "a\\u0000", "label": 1}')),
    "other things than texts": Hostile("a text is needed", jsonl('{"text": {"a": 1}, "label": []}')),
    "lines that are no objects": Hostile("one object a line", jsonl('"a"\n1\nnull')),
    "a line cut short": Hostile("not JSON", jsonl('{"text": "a", "lab')),
    "ten million blank lines": Hostile("blank lines, and only", repeated(b"\n", 10_000_000, LINE.encode())),
    "what says it is CSV": Hostile("looks like lines of JSON", jsonl(LINE), {"format": "csv"}),
}

TEXT = {**ENCODING, **DELIMITED, **VALUES, **JSON}

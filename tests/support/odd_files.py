"""Files as people have them, in odd shapes: each becomes a dataset, or its refusal says what to change."""

from __future__ import annotations

from dataclasses import dataclass, field

HEAD = "text,label\n"
LONG = "the cat runs to the river " * 770  # 20,020 characters


@dataclass(frozen=True)
class Odd:
    """One such file."""

    content: bytes
    first: str | None = None
    """The text of its first row, where it works."""
    rows: int = 2
    told: tuple[str, ...] = ()
    """What its refusal says: what is wrong, and what to do about it."""
    suffix: str = "csv"
    options: dict[str, str] = field(default_factory=dict)
    """What has to be said of it, by the names of the command's options."""
    labels: tuple[str, ...] = ("no", "yes")
    """Classes, where it works; none of numbers."""

    @property
    def works(self) -> bool:
        """Whether it becomes a dataset."""
        return not self.told


def works(text: str, first: str, encoding: str = "utf-8", **more: object) -> Odd:
    return Odd(text.encode(encoding), first, **more)  # type: ignore[arg-type]


def refused(text: str | bytes, *told: str, **more: object) -> Odd:
    return Odd(text if isinstance(text, bytes) else text.encode(), told=told, **more)  # type: ignore[arg-type]


WORKING = {
    "semicolons": works("text;label\na cat, a dog;yes\na bird;no\n", "a cat, a dog"),
    "quotes": works('text,label\n"a ""good"" cat, they say",yes\n"two\nlines",no\n', 'a "good" cat, they say'),
    "a byte order mark": works(HEAD + "a cat,yes\na dog,no\n", "a cat", "utf-8-sig"),
    "tabs": works("text\tlabel\na cat\tyes\na dog\tno\n", "a cat", suffix="tsv"),
    "tabs in a file called csv": works("text\tlabel\na, cat\tyes\na dog\tno\n", "a, cat", suffix="csv"),
    "tabs in a file called txt": works("text\tlabel\na cat\tyes\na dog\tno\n", "a cat", suffix="txt"),
    "emoji": works(HEAD + "👩‍👩‍👧 and a 🐈‍⬛,yes\n🏳️‍🌈,no\n", "👩‍👩‍👧 and a 🐈‍⬛"),
    "right to left": works(HEAD + "שלום עולם,yes\nمرحبا بالعالم,no\n", "שלום עולם"),
    "rows of 20,000 characters": works(HEAD + f"{LONG},yes\n{LONG}!,no\n", LONG),
    "empty lines at the end": works(HEAD + "a cat,yes\na dog,no\n\n\n\r\n\n", "a cat"),
    "lines that end as on Windows": works("text,label\r\na cat,yes\r\na dog,no\r\n", "a cat"),
    "a last line without an end": works(HEAD + "a cat,yes\na dog,no", "a cat"),
    "whole numbers as labels": works(HEAD + "a cat,1\na dog,0\n", "a cat", labels=("0", "1")),
    "broken numbers as labels": works(HEAD + "a cat,1.5\na dog,0.25\n", "a cat", labels=()),
    "a column of row numbers": works(",text,label\n0,a cat,yes\n1,a dog,no\n", "a cat"),
    "a delimiter at the end of each line": works("text,label,\na cat,yes,\na dog,no,\n", "a cat"),
    "capitals and spaces in the header": works(" Text , LABEL \na cat,yes\na dog,no\n", "a cat"),
    "columns of other names": works(
        "tweet,mood\na cat,yes\na dog,no\n", "a cat", options={"text_a": "tweet", "label": "mood"}
    ),
    "pairs": works("premise,hypothesis,label\na cat,an animal,yes\na dog,a cat,no\n", "a cat"),
}
ONE_LINE = "first line"
REFUSED = {
    "no header": refused("a cat,yes\na dog,no\n", ONE_LINE, "write a header above it, such as text,label"),
    "columns of other names, not said": refused("tweet,mood\na,b\n", "'tweet', 'mood'", "name it with text_a"),
    "a header that names a column twice": refused("text,text,label\na,b,c\n", "the header names 'text' twice"),
    "columns without names": refused(",,text,label\n1,2,a,b\n", "the header names '' twice"),
    "UTF-16": refused((HEAD + "a cat,yes\n").encode("utf-16"), "UTF-16", "save it as UTF-8"),
    "Latin-1": refused((HEAD + "a café,yes\nno,no\n").encode("latin-1"), "not UTF-8", "save the file as UTF-8"),
    "one class only": refused(HEAD + "a cat,yes\na dog,yes\n", "one class only, 'yes'", "add rows of another class"),
    "Excel's line about the delimiter": refused("sep=;\ntext;label\na;yes\nb;no\n", "'sep=;'", "remove it"),
    "bars between cells": refused("text|label\na|yes\nb|no\n", "separated by '|'", "commas, semicolons or tabs"),
    "a workbook called csv": refused(b"PK\x03\x04" + bytes(60), "Excel workbook", "save it as CSV"),
    "a header and nothing else": refused(HEAD, "no rows"),
    "nothing at all": refused("", "the file is empty", "a header and rows"),
    "a row with a cell too many": refused(HEAD + "a cat, a dog,yes\nb,no\n", "too many cells: 3 found, 2 expected"),
    "a row without a label": refused(HEAD + "a cat,\na dog,no\n", "the label is missing"),
    "a quote that is never closed": refused(HEAD + '"a cat,yes\na dog,no\n', "never closed", "written twice"),
    "commas in numbers, said to be numbers": refused(
        "text;label\na;1,5\nb;2,5\n", "'1,5' is not a number", options={"kind": "regression"}
    ),
}
ODD = {**WORKING, **REFUSED}

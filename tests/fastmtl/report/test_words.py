"""Numbers as they are said."""

from __future__ import annotations

import pytest

from fastmtl.report.words import capital, duration, figure, many, percent, points, score, short, size


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (many(1, "row"), "1 row"),
        (many(12345, "row"), "12,345 rows"),
        (percent(0.1234), "12.3 %"),
        (points(0.019), "+1.9"),
        (points(-0.019), "−1.9"),
        (figure(0.612, 0.008), "61.2 ± 0.8"),
        (figure(0.612), "61.2"),
        (figure(None, 0.1), "not defined"),
        (score(123.456), "123.5"),
        (score(-0.12345), "-0.1235"),
        (score(0.0), "0.0000"),
        (score(0.00001234), "1.23e-05"),
        (duration(0.4), "under 1 s"),
        (duration(89), "89 s"),
        (duration(90), "2 min"),
        (duration(2 * 3600), "2.0 h"),
        (duration(3 * 86400), "3.0 days"),
        (size(512), "512 B"),
        (size(1536), "1.5 KiB"),
        (size(20 * 2**20), "20 MiB"),
        (size(3000 * 2**40), "3000 TiB"),
        (capital("x y"), "X y"),
        (capital(""), ""),
        (short("abcdef", 4), "abc…"),
        (short("abcd", 4), "abcd"),
    ],
)
def test_a_number_is_said(said: str, expected: str):
    assert said == expected

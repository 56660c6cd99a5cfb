"""Which requests were made by our own page."""

from __future__ import annotations

import pytest

from app.errors import Forbidden
from app.origins import check_origin


@pytest.mark.parametrize(
    ("method", "headers", "told", "untold"),
    [
        ("GET", {"Sec-Fetch-Site": "cross-site"}, True, True),  # changes nothing
        ("POST", {"Sec-Fetch-Site": "same-origin"}, True, True),
        ("POST", {"Sec-Fetch-Site": "same-site"}, False, False),
        ("POST", {"Sec-Fetch-Site": "cross-site"}, False, False),
        ("DELETE", {"Sec-Fetch-Site": "none"}, False, True),  # no page made it
        ("POST", {"Origin": "http://here:8000", "Host": "here:8000"}, True, True),
        ("POST", {"Origin": "https://HERE", "Host": "here"}, True, True),  # a proxy may have ended the TLS
        ("POST", {"Origin": "http://here:8001", "Host": "here:8000"}, False, False),
        ("POST", {"Origin": "https://there", "Host": "here"}, False, False),
        ("POST", {"Origin": "null", "Host": "here"}, False, False),
        ("POST", {"Origin": "null", "Host": ""}, False, False),
        ("PATCH", {}, False, True),  # no browser at all
    ],
)
def test_what_another_page_sends_is_refused(method: str, headers: dict[str, str], told: bool, untold: bool):
    assert (passes(method, headers, True), passes(method, headers, False)) == (told, untold)


def passes(method: str, headers: dict[str, str], must_be_told: bool) -> bool:
    try:
        check_origin(method, headers, must_be_told=must_be_told)
    except Forbidden:
        return False
    return True

"""Whether a request that changes something was made by our own page, where the browser vouches for the caller unasked.

A browser sends a cookie, and reaches a service that asks for no key, whatever page the request comes from. What came
from another one is refused here: that the cookie is SameSite=Strict keeps it at home already, and this holds where a
browser does not heed that, or where there is no cookie.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from app.errors import Forbidden

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
OURS = "same-origin"
TYPED = "none"
"""What Sec-Fetch-Site says of an address that somebody typed: no page made the request."""


def check_origin(method: str, headers: Mapping[str, str], *, must_be_told: bool) -> None:
    """Refuse what another page's request would change. Raises Forbidden.

    `must_be_told`: what neither Sec-Fetch-Site nor Origin tells of is refused too. Whoever brings a key in a header is
    not checked: no page can make a browser do that.
    """
    if method in SAFE:
        return
    site, origin = headers.get("Sec-Fetch-Site"), headers.get("Origin")
    if site is not None:
        ours = site == OURS or (site == TYPED and not must_be_told)
    elif origin is not None:
        ours = urlsplit(origin).netloc.lower() == headers.get("Host", "").lower() != ""
    else:
        ours = not must_be_told
    if not ours:
        raise Forbidden("this would change something, and was sent by another page than this service's own")

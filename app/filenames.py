"""What a file is called and said to be on its way to a client, from here or from an object store."""

from __future__ import annotations

import mimetypes
import re
from urllib.parse import quote

_UNPLAIN = re.compile(r"[^A-Za-z0-9 ._+,()\[\]=@-]")


def media_type(name: str) -> str:
    """Return a file's media type, by its name."""
    if name.endswith(".parquet"):
        return "application/vnd.apache.parquet"
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def disposition(filename: str) -> str:
    """Return a Content-Disposition with the name, plain, and beside it exact where they differ (RFC 6266, RFC 8187)."""
    plain = _UNPLAIN.sub("_", filename)
    exact = "" if plain == filename else f"; filename*=UTF-8''{quote(filename, safe='!#$&+^`|')}"
    return f'attachment; filename="{plain}"{exact}'

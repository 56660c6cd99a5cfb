"""The headers of tus 1.0, a protocol for uploads that go on after a cut (tus.io/protocols/resumable-upload).

Offered: the core and the extensions below. `fastmtl-dataset` on the answer to the last part, and the JSON that GET
shows, are ours.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import NamedTuple

from app.datasets import hinted, options_from
from app.errors import BrokenUpload, ChecksumMismatch
from app.schemas_uploads import UploadOptions

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,checksum,termination"
ALGORITHMS = ("sha256", "sha1")
"""Of the checksum of a part; the protocol wants SHA-1 to be among them."""
PART = "application/offset+octet-stream"
MEDIA_TYPES = ("filetype", "type")
"""Under which keys clients tell the media type; neither is of the protocol, nor is `filename`."""
UNUSED = ("relativePath",)
MAX_METADATA_CHARS = 10_000


class Checksum(NamedTuple):
    """What a part must have."""

    algorithm: str
    hex: str

    def check(self, found: str) -> None:
        """Raise ChecksumMismatch where the part that came has another one."""
        if found != self.hex:
            told = f"this part's {self.algorithm} is {found}, and {self.hex} was declared: send it again"
            raise ChecksumMismatch(told, [{"message": told, "field": "Upload-Checksum"}])


def parse_checksum(header: str) -> Checksum:
    """Return what Upload-Checksum declares: `sha256 BASE64`. Raises BrokenUpload."""
    algorithm, _, text = header.partition(" ")
    if algorithm not in ALGORITHMS:
        raise BrokenUpload(f"Upload-Checksum: {algorithm[:40]!r} is none of {', '.join(ALGORITHMS)}")
    value = _decoded("Upload-Checksum", text.strip())
    if len(value) != hashlib.new(algorithm).digest_size:
        raise BrokenUpload(f"Upload-Checksum: {text[:100]!r} has not the length of a {algorithm}")
    return Checksum(algorithm, value.hex())


def parse_metadata(header: str) -> UploadOptions:
    """Return how the file is to be read, from Upload-Metadata: `filename BASE64,label BASE64`.

    Raises BrokenUpload for what is not written so, InvalidDataset for a field that is not known.
    """
    if len(header) > MAX_METADATA_CHARS:
        raise BrokenUpload(f"Upload-Metadata is longer than {MAX_METADATA_CHARS:,} characters")
    given = _fields(header)
    for name in UNUSED:
        given.pop(name, None)
    filename = given.pop("filename", None)
    media_type = next(filter(None, [given.pop(name, "") for name in MEDIA_TYPES]), "")
    return hinted(options_from(given), media_type, filename)


def filename_of(header: str | None) -> str | None:
    """Return the file's name that Upload-Metadata tells, of a header that `parse_metadata` took."""
    return _fields(header or "").get("filename")


def _fields(header: str) -> dict[str, str]:
    given: dict[str, str] = {}
    for pair in filter(None, map(str.strip, header.split(","))):
        key, _, text = pair.partition(" ")
        if key in given:
            raise BrokenUpload(f"Upload-Metadata names {key[:100]!r} twice")
        given[key] = _text(key, text.strip())
    return given


def _text(key: str, encoded: str) -> str:
    try:
        return _decoded("Upload-Metadata", encoded).decode()
    except UnicodeDecodeError as error:
        raise BrokenUpload(f"Upload-Metadata: the value of {key[:100]!r} is not UTF-8") from error


def _decoded(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BrokenUpload(f"{name}: {text[:100]!r} is not base64") from error

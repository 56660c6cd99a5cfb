"""A large upload over a connection that breaks again and again."""

from __future__ import annotations

from accounts import Account, Place, Scale, at_most, exactly, told
from cut_upload import upload_with_cuts

MIB = 2048
CUTS = 20
GROWTH_MIB = 64
HEALTH_MILLISECONDS = 50


def cut_uploads(place: Place, scale: Scale) -> Account:
    """Upload a file in parts through cuts; look at the API's memory, and ask for its health meanwhile."""
    found = upload_with_cuts(scale.of(MIB), scale.of(CUTS), place.folder, scale.seed, **place.settings)
    done = (
        f"A CSV of {found['mib']} MiB was uploaded by the tus protocol; the connection was reset {found['cuts']} times "
        f"at random places, and the client went on. Health was asked {found['health_requests']} times meanwhile."
    )
    figures = [
        exactly("cuts that did not happen", scale.of(CUTS) - found["cuts"], 0),
        exactly("files whose digest differs", 0 if found["digest_equal"] else 1, 0),
        at_most("MiB of memory that the API grew by", found["growth_mib"], GROWTH_MIB),
        at_most("milliseconds until health is answered, 99 of 100", found["health_p99_ms"], HEALTH_MILLISECONDS),
        told("of these the median", found["health_p50_ms"]),
        exactly("health requests that failed", found["health_failed"], 0),
        exactly("files left where uploads come in", found["left_files"], 0),
        told("rows", found["rows"]),
        told("seconds", found["seconds"]),
    ]
    return Account(done, figures)

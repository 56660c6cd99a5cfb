"""Data sets of the Hugging Face hub by name: fetched at one commit, as one Parquet file that reads as a user's own.

with tempfile.TemporaryDirectory() as folder:
    fetched = fetch("hub:nyu-mll/glue/rte#train", Path(folder))
    fetched.path, fetched.source     # the file, and the name with the commit that it was read at

Only Parquet is read, and code that comes with a data set is never run. What was fetched before is taken from the hub's
own cache, also where the hub cannot be reached. HF_ENDPOINT and HF_TOKEN mean what they mean everywhere. Torch-free.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from fastmtl import hub_card, hub_table
from fastmtl.columns import Columns
from fastmtl.errors import HubUnavailable, InvalidDataset, NotOnHub, Problem
from fastmtl.hub_card import Alternatives, Card, listed
from fastmtl.hub_names import HubName, parse
from fastmtl.plan import Progress, silent

ENDPOINT = "https://huggingface.co"
README = "README.md"
CONVERSIONS = "refs/convert/parquet"
"""The branch on which the hub keeps its own conversion to Parquet of most public data sets."""
_SHARD = re.compile(r"(?P<stem>.+)-\d{5}-of-(?P<count>\d{5})\.parquet")


class Fetched(NamedTuple):
    """A split, on this machine."""

    path: Path
    source: str
    """Its name with the commit, so that the same rows can be fetched again."""
    title: str
    """What the rows are called."""
    columns: Columns
    """Which columns hold what; the file has no others."""


class Access(NamedTuple):
    """How the hub is asked."""

    token: bool | None = None
    """False sends none; None sends HF_TOKEN, or the one that was stored by `hf auth login`."""
    cache: Path | None = None
    """None is the hub's own cache."""
    max_bytes: int | None = None
    """Of a split's files, before anything of them is fetched."""


def fetch(
    text: str,
    folder: Path,
    columns: Columns | None = None,
    access: Access | None = None,
    progress: Progress = silent,
) -> Fetched:
    """Fetch a split and write it into a folder. Raises InvalidDataset, NotOnHub, HubUnavailable.

    Columns that are not said are found by their usual names, as in a user's file; classes are written by their names.
    """
    name, access = parse(text), access or Access()
    with _asking(name):
        commit, card = _card(name, access)
        part = card.part(name)
        pinned = name._replace(revision=commit)
        files = _files(pinned, card.patterns(part, name), access, progress)
    path = folder / f"{name.title}.parquet"
    found = hub_table.write(files, path, columns or Columns(), card.classes_of(part))
    return Fetched(path, str(pinned), name.title, found)


def _card(name: HubName, access: Access) -> tuple[str, Card]:
    """Return the commit that a revision stands for, and what the data set's card says there."""
    from huggingface_hub import metadata_load
    from yaml import YAMLError

    folder = _snapshot(name, (README,), access)
    try:
        head = metadata_load(folder / README) if (folder / README).is_file() else None
    except (ValueError, OSError, YAMLError):
        head = None
    return folder.name, hub_card.read(head)


def _files(name: HubName, alternatives: Alternatives, access: Access, progress: Progress) -> list[Path]:
    """Return the Parquet files of a split, in order, all of them here."""
    patterns = [pattern for each in alternatives for pattern in each]
    if access.max_bytes is not None:
        _check_size(name, patterns, access)
    folder = _snapshot(name, patterns, access, progress)
    matching = ({path for each in some for path in folder.glob(each) if path.is_file()} for some in alternatives)
    found = sorted(next(filter(None, matching), set()))
    files = [path for path in found if path.suffix == ".parquet"]
    if not files:
        raise NotOnHub(_no_files(name, [path.relative_to(folder).as_posix() for path in found], access))
    shards = [_SHARD.fullmatch(path.relative_to(folder).as_posix()) for path in files]
    counts = Counter((shard["stem"], int(shard["count"])) for shard in shards if shard)
    if short := [(stem, there, count) for (stem, count), there in counts.items() if there != count]:
        stem, there, count = short[0]
        raise HubUnavailable(f"of the {count} files {stem}-*.parquet of {name} only {there} are here: fetch it again")
    return files


def _no_files(name: HubName, others: list[str], access: Access) -> str:
    """Say what there is in the place of Parquet files."""
    if others:
        converted = name._replace(revision=CONVERSIONS)
        return (
            f"the rows of {name} lie in {listed(others)}, and only Parquet is read. Most data sets stand converted on "
            f"a branch of the hub's own: try {converted}"
        )
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint(), token=access.token)
    try:
        every = api.list_repo_files(name.repository, repo_type="dataset", revision=name.revision)
    except (httpx2.HTTPError, OSError):
        every = []
    there = [each for each in every if each.endswith(".parquet")]
    told = f"its Parquet files are {listed(there)}" if there else "it holds no Parquet files that are known of"
    return f"no files of {name} are found: {told}"


def _check_size(name: HubName, patterns: Sequence[str], access: Access) -> None:
    """Raise InvalidDataset where the files that match are larger than they may be."""
    from huggingface_hub import snapshot_download

    found = snapshot_download(**_asked(name, patterns, access), dry_run=True)
    size = sum(each.file_size for each in found)
    if access.max_bytes is not None and size > access.max_bytes:
        told = f"the files of {name} have {size:,} bytes, and {access.max_bytes:,} are the most"
        raise InvalidDataset([Problem(told)])


def _snapshot(name: HubName, patterns: Sequence[str], access: Access, progress: Progress = silent) -> Path:
    """Return the folder, named by the commit, where the files that match are: fetched, or from the cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import tqdm

    class Bar(tqdm):
        """Shows nothing, and tells how far the bytes are."""

        def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - the hub's own
            self.counts = options.get("name") == "huggingface_hub.snapshot_download"
            super().__init__(*args, **{**options, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> bool | None:
            self.n += n or 0
            if self.counts and self.total:
                progress(int(self.n), int(self.total), "bytes")
            return None

    return Path(snapshot_download(**_asked(name, patterns, access), tqdm_class=Bar))


def _asked(name: HubName, patterns: Sequence[str], access: Access) -> dict[str, Any]:
    """Return what `snapshot_download` is asked."""
    return {
        "repo_id": name.repository,
        "repo_type": "dataset",
        "revision": name.revision,
        "allow_patterns": list(patterns),
        "endpoint": endpoint(),
        "token": access.token,
        "cache_dir": access.cache,
    }


def endpoint() -> str:
    """Return where the hub is: HF_ENDPOINT, else huggingface.co."""
    return (os.environ.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")


@contextmanager
def _asking(name: HubName) -> Iterator[None]:
    """Say what the hub's refusals mean."""
    from huggingface_hub import errors

    token = "set HF_TOKEN to a token of an account that may read it"
    page = f"{endpoint()}/datasets/{name.repository}"
    try:
        yield
    except errors.GatedRepoError as error:
        raise NotOnHub(f"{name.repository} is gated: ask for access at {page}, then {token}") from error
    except errors.RepositoryNotFoundError as error:
        raise NotOnHub(
            f"there is no data set {name.repository} at {endpoint()}, or it is private: then {token}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise NotOnHub(f"{name.repository} has no revision {name.revision!r}; {page} shows which there are") from error
    except errors.HFValidationError as error:
        raise InvalidDataset([Problem(f"{name.repository!r} is no name of a data set on the hub: {error}")]) from error
    except (errors.HfHubHTTPError, errors.FileMetadataError, errors.DryRunError) as error:
        raise _failed(name, error) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, httpx2.HTTPError) as error:
        raise HubUnavailable(
            f"{name} is not in the local cache, and {endpoint()} cannot be reached ({_cause(error)}). Check the "
            "network, HF_ENDPOINT and HF_HUB_OFFLINE, or fetch the files elsewhere and give those"
        ) from error


def _failed(name: HubName, error: Exception) -> NotOnHub | HubUnavailable:
    """Return what an answer means that is neither a file nor one of the usual refusals."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return NotOnHub(f"the hub refuses {name} ({status}): HF_TOKEN does not count, or may not read it")
    told = f"answers {status}" if status else f"failed ({_cause(error)})"
    return HubUnavailable(f"{endpoint()} {told} for {name}: try again later")


def _cause(error: BaseException) -> str:
    """Return what kind of error lies below."""
    while error.__cause__ is not None:
        error = error.__cause__
    return type(error).__name__

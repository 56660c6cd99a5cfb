"""Names of data sets on the Hugging Face hub: `hub:nyu-mll/glue/rte@main#train`. Torch-free."""

from __future__ import annotations

import re
from typing import NamedTuple

from fastmtl.errors import InvalidDataset, Problem, cut

PREFIX = "hub:"
FORM = "hub:OWNER/NAME[/CONFIG][@REVISION]#SPLIT, as in hub:nyu-mll/glue/rte#train"

_WORD = r"[\w-][\w.+-]*"
_NAME = re.compile(
    rf"hub:(?P<owner>{_WORD})/(?P<name>{_WORD})(/(?P<config>{_WORD}))?(@(?P<revision>{_WORD}(/{_WORD})*))?#(?P<split>.+)",
    re.ASCII,
)
_SPLIT = re.compile(r"\w[\w.-]*", re.ASCII)
MAX_NAME, MAX_TITLE = 500, 200


class HubName(NamedTuple):
    """A split of a data set on the hub."""

    owner: str
    name: str
    config: str | None
    """One of the parts that a repository may hold; None where it holds one, or has a default."""
    revision: str | None
    """A branch, a tag or a commit; None is the main branch."""
    split: str

    @property
    def repository(self) -> str:
        """Owner and name."""
        return f"{self.owner}/{self.name}"

    @property
    def title(self) -> str:
        """What the rows are called among others: the part's name, and the split's unless they are there to train on."""
        part = self.name if self.config in (None, "default") else str(self.config)
        return (part if self.split == "train" else f"{part}-{self.split}")[:MAX_TITLE]

    def __str__(self) -> str:
        """Write it as `parse` reads it."""
        config = f"/{self.config}" if self.config else ""
        revision = f"@{self.revision}" if self.revision else ""
        return f"{PREFIX}{self.repository}{config}{revision}#{self.split}"


def is_hub_name(given: object) -> bool:
    """Whether something is meant as a name on the hub, well written or not."""
    return isinstance(given, str) and given.startswith(PREFIX)


def parse(text: str) -> HubName:
    """Read a name. Raises InvalidDataset that says how one is written."""
    if "#" not in text:
        raise _refused(f"{cut(text)!r} names no split: write {FORM}")
    found = _NAME.fullmatch(text) if len(text) <= MAX_NAME else None
    if found is None or ".." in text.partition("#")[0]:
        raise _refused(f"{cut(text, 200)!r} is no name on the hub: write {FORM}")
    split = found["split"]
    if not _SPLIT.fullmatch(split):
        raise _refused(
            f"{cut(split)!r} is no name of a split: slices and sums of splits are not taken. Name a whole split, or "
            "cut it with the package datasets and upload the table (fastmtl.client)"
        )
    return HubName(found["owner"], found["name"], found["config"], found["revision"], split)


def _refused(told: str) -> InvalidDataset:
    return InvalidDataset([Problem(told)])

"""What the head of a data set's README on the hub says: its parts, their splits' files, their classes. Torch-free.

Cards are written by people and by many versions of tools: what cannot be read counts as not said.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastmtl.errors import NotOnHub, cut
from fastmtl.hub_names import HubName

Classes = Mapping[str, tuple[str, ...]]
"""Names of the classes by index, of every column that holds classes."""

Alternatives = tuple[tuple[str, ...], ...]
"""Patterns of paths, by one alternative each."""

TOLD = 20
"""Names that a message lists at most."""


@dataclass(frozen=True)
class Card:
    """The parts of a repository."""

    files: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    """Of every part whose files are named: patterns of paths by split."""
    classes: Mapping[str, Classes] = field(default_factory=dict)
    """Of every part whose columns are described."""
    default: str | None = None
    """The part that is meant where none is named."""

    def part(self, name: HubName) -> str | None:
        """Return the part that is meant; None where the card names none. Raises NotOnHub that lists them."""
        known = list(dict.fromkeys((*self.files, *self.classes)))
        if name.config is None:
            found = self.default or ("default" if "default" in known else None)
            if found is None and len(known) > 1:
                first = name._replace(config=known[0])
                raise NotOnHub(
                    f"{name.repository} has several parts: name one, as in {first}; there are {listed(known)}"
                )
            return found or (known[0] if known else None)
        if known and name.config not in known:
            near = difflib.get_close_matches(name.config, known, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise NotOnHub(f"{name.repository} has no part {name.config!r}{hint}; there are {listed(known)}")
        return name.config

    def patterns(self, part: str | None, name: HubName) -> Alternatives:
        """Return patterns of the paths of a split's files: the card's, else where such files usually lie.

        The first alternative counts that any file matches. Raises NotOnHub that lists the splits there are.
        """
        splits = self.files.get(part or "", {})
        if not splits:
            return usual(name.config, name.split)
        if name.split not in splits:
            raise NotOnHub(f"{name} is not there: its splits are {listed(list(splits))}")
        return (splits[name.split],)

    def classes_of(self, part: str | None) -> Classes:
        """Return the classes of a part's columns, as far as they are told."""
        return self.classes.get(part or "", {})


def read(head: object) -> Card:
    """Return what a card's head, as YAML has it, says."""
    head = head if isinstance(head, dict) else {}
    configs = [each for each in _list(head.get("configs")) if isinstance(each.get("config_name"), str)]
    described = [each for each in _list(head.get("dataset_info")) if isinstance(each.get("features"), list)]
    return Card(
        files={each["config_name"]: _splits(each.get("data_files")) for each in configs},
        classes={str(each.get("config_name", "default")): _classes(each["features"]) for each in described},
        default=next((each["config_name"] for each in configs if each.get("default") is True), None),
    )


def usual(config: str | None, split: str) -> Alternatives:
    """Return where Parquet files of a split lie that nobody described, also on the hub's branch of conversions."""
    folders = (f"{config}/",) if config else ("", "data/", "default/")
    ends = (f"{split}.parquet", f"{split}-*.parquet", f"{split}/*.parquet")
    return tuple((folder + end,) for folder in folders for end in ends)


def listed(names: Sequence[str]) -> str:
    """Return names for a message."""
    more = f" and {len(names) - TOLD} more" if len(names) > TOLD else ""
    return ", ".join(cut(name) for name in names[:TOLD]) + more


def _list(value: object) -> list[dict[str, Any]]:
    found = value if isinstance(value, list) else [value]
    return [each for each in found if isinstance(each, dict)]


def _splits(value: object) -> dict[str, tuple[str, ...]]:
    """Return patterns by split, of any form in which `data_files` are written."""
    if isinstance(value, str) or (isinstance(value, list) and value and isinstance(value[0], str)):
        return {"train": _paths(value)}
    return {str(each["split"]): _paths(each.get("path")) for each in _list(value) if "split" in each}


def _paths(value: object) -> tuple[str, ...]:
    """Return patterns that stay within the repository."""
    found = value if isinstance(value, list) else [value]
    return tuple(
        each.removeprefix("./")
        for each in found
        if isinstance(each, str) and each and not each.startswith("/") and ".." not in each.split("/")
    )


def _classes(features: list[object]) -> dict[str, tuple[str, ...]]:
    found = {}
    for each in _list(features):
        kind = each.get("dtype")
        names = (kind.get("class_label") or {}).get("names") if isinstance(kind, dict) else None
        if isinstance(names, dict):  # {'0': no, '1': yes}: YAML reads some names as booleans or numbers
            names = [names[key] for key in sorted(names, key=int)] if all(str(key).isdigit() for key in names) else None
        if isinstance(names, list) and isinstance(each.get("name"), str):
            found[each["name"]] = tuple(map(_class_name, names))
    return found


def _class_name(value: object) -> str:
    """Return a class's name; an unquoted yes or no is a boolean to YAML."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)

"""A folder as a registry: every module of a package is a part, and what it does not say has a default.

Torch-free.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from dataclasses import fields
from typing import Any, TypeVar

Part = TypeVar("Part")


def names(folders: Iterable[str]) -> list[str]:
    """Return the names of all modules in a package's folders, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(folders))


def read(kind: type[Part], package: str, name: str) -> Part:
    """Return a module of a package as a record of `kind`, a dataclass, from the names that both have."""
    module = importlib.import_module(f"{package}.{name}")
    declared: Any = kind
    return kind(**{each.name: getattr(module, each.name) for each in fields(declared) if hasattr(module, each.name)})

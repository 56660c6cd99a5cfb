"""The chosen rows as a folder that `datasets.load_dataset` opens: Parquet, and a card that names the configurations.

README.md                what it is, and for `datasets` which files are what
data/000-mnli.parquet    the chosen rows of one auxiliary dataset, in order of row: the columns of subset.parquet
Torch-free.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ALL = "all"
CARD = """---
configs:
{configs}
---
# Chosen rows

{rows:,} rows that FastMTL chose ({source}), with texts and labels.

| configuration | rows | of |
|---|---|---|
{table}

Columns: `dataset` and `row` say where a row stood in the uploaded file (rows count from 0), `rank` (from 1, best first)
and `score` how it was judged, `text_a`, `text_b` (null for single texts) and `label` what it is. Labels are texts, as
they were uploaded, since those of several tasks stand in one column; sort by `rank` for the order of the selection.
"""


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Fill a folder under another name; it has its own once it is whole.

    Raises FileExistsError where something is there already.
    """
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise FileExistsError(f"{target} is there already and not an empty folder: name a new one")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
        inner = Path(scratch) / target.name
        inner.mkdir()
        yield inner
        if target.exists():
            target.rmdir()
        inner.rename(target)


def write_subset(table: pa.Table, target: Path, source: str) -> Path:
    """Write the rows of a subset.parquet into a new folder; `source` says in its card whence they are."""
    names = pc.unique(table["dataset"]).to_pylist()
    files: dict[str, tuple[str, str, int]] = {}
    with new_folder(target) as folder:
        (folder / "data").mkdir()
        for index, name in enumerate(names):
            rows = table.filter(pc.field("dataset") == name)
            path = f"data/{index:03}-{_plain(name)}.parquet"
            pq.write_table(rows, folder / path, compression="zstd")
            files[_unused(_plain(name), files)] = (path, name, rows.num_rows)
        (folder / "README.md").write_text(_card(files, table.num_rows, source), encoding="utf-8")
    return target


def _plain(name: str) -> str:
    """Return a name that may be a file's and a configuration's anywhere."""
    return re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII).strip("._")[:60] or "dataset"


def _unused(name: str, taken: dict[str, tuple[str, str, int]]) -> str:
    """Return a name that is neither taken nor that of all rows."""
    return name if name not in taken and name != ALL else f"{name}-{len(taken)}"


def _card(files: dict[str, tuple[str, str, int]], rows: int, source: str) -> str:
    configs = [_config(ALL, [path for path, _, _ in files.values()], default=True)]
    configs += [_config(name, [path], default=False) for name, (path, _, _) in files.items()]
    cells = [f"| `{ALL}` (the default) | {rows:,} | all |"]
    cells += [f"| `{name}` | {count:,} | {_cell(dataset)} |" for name, (_, dataset, count) in files.items()]
    return CARD.format(configs="\n".join(configs), rows=rows, source=source, table="\n".join(cells))


def _config(name: str, paths: list[str], *, default: bool) -> str:
    """Return a configuration in YAML; JSON's strings are YAML's."""
    lines = [f"- config_name: {json.dumps(name)}", *(["  default: true"] if default else []), "  data_files:"]
    return "\n".join([*lines, "  - split: train", "    path:", *(f"    - {json.dumps(path)}" for path in paths)])


def _cell(text: str) -> str:
    """Return a text that stays inside a cell of a table."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|")

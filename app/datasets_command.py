"""`fastmtl datasets`: upload, list, show, delete, on a service."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from rich.text import Text

from app.remote import connected
from app.terminal import Terminal, run, table
from fastmtl.client import Dataset


@dataclass(frozen=True)
class Upload:
    """A file or a name on the hub, and what is said of it; what is None the service infers."""

    data: str
    name: str | None
    file_format: str | None
    text_a: str | None
    text_b: str | None
    label: str | None
    kind: str | None


class Datasets:
    """The commands; each returns its exit status."""

    def __init__(self, url: str | None, *, as_json: bool) -> None:
        self._url, self._terminal = url, Terminal(as_json=as_json)

    def upload(self, given: Upload) -> int:
        """Upload a file and show what became of it."""

        def command() -> None:
            with connected(self._url) as client:
                dataset = client.upload(
                    given.data,
                    name=given.name,
                    file_format=given.file_format,
                    text_a=given.text_a,
                    text_b=given.text_b,
                    label=given.label,
                    kind=given.kind,
                )
            self._show(dataset)

        return run(self._terminal, command)

    def fetch(self, given: Upload) -> int:
        """Let the service fetch a split of the hub, and show what became of it."""

        def command() -> None:
            said = {"text_a": given.text_a, "text_b": given.text_b, "label": given.label, "kind": given.kind}
            with connected(self._url) as client:
                dataset = client.fetch(given.data, name=given.name, **said)
            self._show(dataset)

        return run(self._terminal, command)

    def _show(self, dataset: Dataset) -> None:
        for warning in dataset.warnings:
            self._terminal.note(f"note: {warning}")
        self._terminal.result(dataset.raw, _described(dataset))

    def list(self, limit: int) -> int:
        """List the newest ones."""

        def command() -> None:
            with connected(self._url) as client:
                found = list(islice(client.datasets(min(limit, 200)), limit))
            shown = table("id", "name", "rows", "kind", "uploaded", right=["rows"])
            for each in found:
                shown.add_row(
                    each.id, Text(each.name), f"{each.rows:,}", each.kind, f"{each.created_at:%Y-%m-%d %H:%M}"
                )
            self._terminal.result([each.raw for each in found], shown)

        return run(self._terminal, command)

    def show(self, dataset_id: str) -> int:
        """Describe one."""

        def command() -> None:
            with connected(self._url) as client:
                dataset = client.dataset(dataset_id)
            self._terminal.result(dataset.raw, _described(dataset))

        return run(self._terminal, command)

    def delete(self, dataset_id: str) -> int:
        """Remove one that no job has."""

        def command() -> None:
            with connected(self._url) as client:
                receipt = client.delete_dataset(dataset_id)
            self._terminal.result(receipt.raw, f"removed {receipt.id}: {receipt['rows']:,} rows")

        return run(self._terminal, command)


def _described(dataset: Dataset) -> Text:
    """Return what a dataset is, a line a fact."""
    columns = ", ".join(f"{what} from {name!r}" for what, name in dataset.columns.items() if name)
    labels = ", ".join(f"{name} {rows:,}" for name, rows in dataset.labels.items())
    low_high = dataset["label_range"]
    lengths = dataset["lengths"]
    facts = {
        "id": dataset.id,
        "name": dataset.name,
        "rows": f"{dataset.rows:,}, {dataset['duplicates']:,} of them with texts of an earlier one",
        "kind": dataset.kind,
        "columns": columns,
        "labels": labels or f"from {low_high[0]:g} to {low_high[1]:g}",
        "characters": f"{lengths['median']:,.0f} in the median row, {lengths['longest']:,} in the longest",
    }
    if dataset.source:
        facts["source"] = dataset.source
    return Text("\n".join(f"{name:<12}{value}" for name, value in facts.items()))

"""Explain: why each row was chosen: where its score stands in its dataset, and the primary rows nearest to it.

Nearest is by cosine in the frozen encoder's space, whatever the method scored by: it is a look at the texts from
outside the method, for people.

Reads   the selection with its scores and texts, and the primary
Writes  explanations.parquet  K rows in order of rank: rank, dataset, row, score, percentile, nearest_rows, similarities

Letters: K chosen rows · n rows of the primary · H hidden width.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from torch.nn import functional
from transformers import PreTrainedTokenizerBase

from fastmtl import device, memory
from fastmtl.checkpoints import Checkpoints
from fastmtl.datasets import dataset_of
from fastmtl.encoders import resolve
from fastmtl.model import MtDnn, load_checkpoint
from fastmtl.plan import Json, Progress, StepSpec, Workspace, folders, silent
from fastmtl.reading import read_span
from fastmtl.scoring import score_rows
from fastmtl.telling import Standing
from fastmtl.tokens import Tokens, counted, joined, tokenize
from fastmtl.workload import CHOSEN

Floats = npt.NDArray[np.float32]

ROWS_AT_ONCE = 1_024
TEXTS_AT_ONCE = 8_192


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Embed the primary and the chosen rows, and look each up."""
    params = spec.params
    device.make_deterministic()
    machine = device.describe(workspace.device, params["precision"])
    encoder = params["encoder"]
    told = Standing(workspace.progress)
    location = resolve(encoder["location"], told.beside("fetching the encoder"))
    checkpoint = load_checkpoint(location, encoder["pooling"], encoder["max_length"])
    memory.check_inference(checkpoint.encoder, checkpoint.max_length, machine)
    (chosen,) = folders(workspace, spec)
    primary = dataset_of(workspace, params["primary"])
    ranks, texts = _chosen_texts(chosen, checkpoint.tokenizer, checkpoint.max_length)
    reader = checkpoint.tokenizer, checkpoint.max_length, told.beside("reading")
    own_texts = read_span(primary, 0, primary.rows, *reader)
    tokens = joined([own_texts, texts])
    model = MtDnn(checkpoint.encoder, checkpoint.pooling, (), discriminator=False)
    checkpoints = Checkpoints.of(spec, workspace, machine, [model])
    vectors = score_rows(model, tokens, functional.normalize, machine, told, checkpoints)  # [n + K, H]
    own, theirs = vectors[: primary.rows], np.empty((len(ranks), vectors.shape[1]), dtype=np.float32)
    theirs[ranks - 1] = vectors[primary.rows :]  # [K, H], in order of rank
    rows, similarities = nearest(theirs, own, params["nearest"], told.beside("looking up"))
    table = pq.read_table(chosen / "selection.parquet")
    table = table.append_column("percentile", pa.array(percentiles(chosen / "scores.parquet", table)))
    table = table.append_column("nearest_rows", pa.array(list(rows), pa.list_(pa.int64())))
    table = table.append_column("similarities", pa.array(list(similarities), pa.list_(pa.float32())))
    pq.write_table(table, workspace.output / "explanations.parquet", compression="zstd")
    read = counted(encoder, [(params["primary"], own_texts), (CHOSEN, texts)])
    return {"rows": len(ranks), "device": machine.name, "precision": machine.precision, "read": read}


def nearest(
    rows: Floats, primary: Floats, count: int, progress: Progress = silent
) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return, for each of K rows, the `count` primary rows of largest product and the products, largest first.

    Of equal ones the first row comes first. [K, count] both; `count` is at most n.
    """
    count = min(count, len(primary))
    found = np.empty((len(rows), count), dtype=np.int64)
    products = np.empty((len(rows), count), dtype=np.float32)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = rows[start : start + ROWS_AT_ONCE] @ primary.T  # [rows, n]
        best = np.argsort(-part, axis=1, kind="stable")[:, :count]
        found[start : start + ROWS_AT_ONCE] = best
        products[start : start + ROWS_AT_ONCE] = np.take_along_axis(part, best, axis=1)
        progress(min(start + ROWS_AT_ONCE, len(rows)), len(rows), "rows")
    return found, products


def percentiles(scores: Path, selection: pa.Table) -> npt.NDArray[np.float64]:
    """Return for each chosen row the share, in percent, of its dataset's rows that score no higher than it does."""
    result = np.empty(selection.num_rows, dtype=np.float64)
    names = np.array(selection["dataset"].to_pylist(), dtype=object)
    for name in dict.fromkeys(names):
        table = pq.read_table(scores, columns=["score"], filters=pc.field("dataset") == name)
        ordered = np.sort(table["score"].to_numpy())
        mine = names == name
        found = np.searchsorted(ordered, selection["score"].to_numpy()[mine], side="right")
        result[mine] = 100 * found / len(ordered)
    return result


def _chosen_texts(
    chosen: Path, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> tuple[npt.NDArray[np.int64], Tokens]:
    """Return the ranks of the chosen rows as their texts stand in subset.parquet, and the texts as tokens."""
    parts, ranks = [], []
    with pq.ParquetFile(chosen / "subset.parquet") as file:
        for batch in file.iter_batches(TEXTS_AT_ONCE, columns=["rank", "text_a", "text_b"]):
            for pair in (False, True):
                rows = batch.filter(pc.is_valid(batch["text_b"]) if pair else pc.is_null(batch["text_b"]))
                if rows.num_rows:
                    ranks.append(rows["rank"].to_numpy())
                    second = rows["text_b"].to_pylist() if pair else None
                    parts.append(tokenize(tokenizer, rows["text_a"].to_pylist(), second, max_length))
    return np.concatenate(ranks), joined(parts)

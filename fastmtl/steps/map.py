"""Map: where rows lie in the frozen encoder's space, arranged in the plane by t-SNE, for people to look at.

Of a pool with more rows than points, the best chosen rows and as many of the primary's as fit are taken, and of all
others a draw. What lies near in the plane lies near in that space; distances between groups mean little (van der Maaten
and Hinton, 2008).

Reads   the selection with its scores, the primary and the auxiliary datasets
Writes  map.parquet  a point a row: dataset (key), row, x, y, score (null for the primary's), selected

Letters: P points · H hidden width.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openTSNE
import pyarrow as pa
import pyarrow.parquet as pq
from torch import get_num_threads
from torch.nn import functional

from fastmtl import device, memory
from fastmtl.checkpoints import Checkpoints
from fastmtl.datasets import dataset_of
from fastmtl.encoders import resolve
from fastmtl.model import MtDnn, load_checkpoint
from fastmtl.plan import Json, StepSpec, TaskRef, Workspace, folders
from fastmtl.reading import read_tokens
from fastmtl.scoring import score_rows
from fastmtl.telling import Standing
from fastmtl.tokens import joined

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

PRIMARY_SHARE, CHOSEN_SHARE = 0.25, 0.5
"""Of the points, at most."""
PERPLEXITY = 30
DIMENSIONS = 50
"""The vectors' first principal components are arranged: the usual way, and much faster."""
ITERATIONS, EXAGGERATED = 500, 250
TOLD_EVERY = 10


def run(spec: StepSpec, workspace: Workspace) -> Json:
    """Draw the points, embed them, and arrange them."""
    params = spec.params
    device.make_deterministic()
    machine = device.describe(workspace.device, params["precision"])
    told = Standing(workspace.progress)
    location = resolve(params["encoder"]["location"], told.beside("fetching the encoder"))
    checkpoint = load_checkpoint(location, params["encoder"]["pooling"], params["encoder"]["max_length"])
    memory.check_inference(checkpoint.encoder, checkpoint.max_length, machine)
    (chosen,) = folders(workspace, spec)
    primary, *auxiliary = (TaskRef(**each) for each in [params["primary"], *params["auxiliary"]])
    points = draw(chosen / "scores.parquet", primary, auxiliary, params["points"], params["seed"])
    tokens = []
    for task in (primary, *auxiliary):
        dataset = dataset_of(workspace, task.digest)
        rows = points["row"].to_numpy()[np.array(points["dataset"].to_pylist(), dtype=object) == task.key]
        reading = told.beside(f"reading {task.key}")
        tokens.append(read_tokens(dataset, rows, checkpoint.tokenizer, checkpoint.max_length, reading))
    model = MtDnn(checkpoint.encoder, checkpoint.pooling, (), discriminator=False)
    checkpoints = Checkpoints.of(spec, workspace, machine, [model])
    vectors = score_rows(model, joined(tokens), functional.normalize, machine, told, checkpoints)  # [P, H]
    place = arranged(vectors, params["seed"], told)  # [P, 2]
    table = points.append_column("x", pa.array(place[:, 0])).append_column("y", pa.array(place[:, 1]))
    pq.write_table(table, workspace.output / "map.parquet", compression="zstd")
    return {"points": len(points), "device": machine.name, "precision": machine.precision}


def draw(scores: Path, primary: TaskRef, auxiliary: Sequence[TaskRef], points: int, seed: int) -> pa.Table:
    """Return the rows that become points, dataset by dataset, rows rising: dataset, row, score, selected; [<= P]."""
    generator = np.random.default_rng(seed)
    table = pq.read_table(scores, columns=["dataset", "row", "score", "selected"], read_dictionary=["dataset"])
    own = _some(np.arange(primary.rows, dtype=np.int64), round(PRIMARY_SHARE * points), generator)
    left = points - len(own)
    selected = np.flatnonzero(table["selected"].to_numpy())
    best = selected[np.argsort(-table["score"].to_numpy()[selected], kind="stable")]
    best = best[: max(round(CHOSEN_SHARE * points), left - (table.num_rows - len(best)))]
    others = _some(np.flatnonzero(~table["selected"].to_numpy()), left - len(best), generator)
    taken = table.take(pa.array(np.sort(np.concatenate([best, others]))))
    taken = taken.set_column(0, "dataset", taken["dataset"].cast(pa.string()))
    mine = pa.table(
        {
            "dataset": pa.array([primary.key] * len(own), pa.string()),
            "row": own,
            "score": pa.nulls(len(own), pa.float32()),
            "selected": np.zeros(len(own), dtype=np.bool_),
        },
        schema=taken.schema,
    )
    order = {task.key: index for index, task in enumerate(auxiliary)}
    places = np.argsort([order[key] for key in taken["dataset"].to_pylist()], kind="stable")
    return pa.concat_tables([mine, taken.take(pa.array(places))]).combine_chunks()


def arranged(vectors: Floats, seed: int, told: Standing) -> Floats:
    """Arrange vectors [P, H] in the plane, [P, 2]; the same vectors and seed lie the same on one machine."""
    if len(vectors) < 3:
        return np.zeros((len(vectors), 2), dtype=np.float32)
    reduced = _principal(vectors)

    def tell(iteration: int, _error: float, _embedding: object) -> None:
        told.say(f"arranging: {iteration:,} of {ITERATIONS:,} passes", len(vectors), "rows")

    tsne = openTSNE.TSNE(
        perplexity=min(PERPLEXITY, (len(vectors) - 1) / 3),
        n_iter=ITERATIONS,
        early_exaggeration_iter=EXAGGERATED,
        random_state=seed,
        n_jobs=get_num_threads(),
        callbacks=[tell],
        callbacks_every_iters=TOLD_EVERY,
    )
    place: Floats = np.asarray(tsne.fit(reduced), dtype=np.float32)
    return place


def _principal(vectors: Floats) -> Floats:
    """Return the first principal components, [P, <= DIMENSIONS]."""
    centred = vectors - vectors.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)  # [H, H], the largest last
    reduced: Floats = centred @ directions[:, ::-1][:, :DIMENSIONS]
    return reduced


def _some(rows: Rows, count: int, generator: np.random.Generator) -> Rows:
    """Return at most so many of the rows, drawn, rising."""
    count = max(0, count)
    if len(rows) <= count:
        return rows
    return np.sort(generator.choice(rows, count, replace=False))

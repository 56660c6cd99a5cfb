"""A linear discriminator on words and letters: what the paper's method would be with no encoder at all.

A logistic regression over the tasks (scikit-learn) is fitted on as few rows of each as the paper's discriminator sees,
on tf-idf of words and word pairs, and of runs of letters inside words; the score is its probability of the primary.

Letters: B rows in a batch · F features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from fastmtl.config import Frozen, JobConfig
from fastmtl.datasets import Dataset
from fastmtl.methods import Scored, ScoreRequest, draw_rows

if TYPE_CHECKING:
    import numpy.typing as npt
    from sklearn.pipeline import Pipeline

summary = "How sure a logistic regression over the tasks, on words and runs of letters, is that it is the primary's."
seeded = True
reads_texts = True

ROWS_AT_ONCE = 4_096


class Options(Frozen):
    """What the regression sees, and how freely it fits."""

    inverse_regularisation: float = Field(
        1.0, gt=0, le=1e4, description="C of the logistic regression: the larger, the closer it fits its rows."
    )
    letters: int = Field(5, ge=3, le=8, description="Letters of the longest run; runs begin at three.")


def rows_seen(config: JobConfig) -> int:
    """Return how many rows of each task it is fitted on."""
    return config.discriminator.rows_per_task


def score(request: ScoreRequest) -> list[Scored]:
    """Return the probability of the primary, in [0, 1]."""
    assert isinstance(request.options, Options)
    tasks = [request.primary, *request.auxiliary]
    datasets = [Dataset.open(request.datasets[task.digest]) for task in tasks]
    drawn = [draw_rows(task.digest, task.rows, request.rows_seen, request.seed) for task in tasks]
    known = [text for dataset, rows in zip(datasets, drawn, strict=True) for text in _texts(dataset, rows)]
    model = _classifier(request.options)
    model.fit(known, np.repeat(np.arange(len(tasks)), [len(rows) for rows in drawn]))
    scored = []
    done, total = 0, sum(task.rows for task in request.auxiliary)
    for task, dataset, rows in zip(request.auxiliary, datasets[1:], drawn[1:], strict=True):
        scores = np.empty(task.rows, dtype=np.float32)
        for start in range(0, task.rows, ROWS_AT_ONCE):
            stop = min(start + ROWS_AT_ONCE, task.rows)
            scores[start:stop] = model.predict_proba(_texts(dataset, np.arange(start, stop)))[:, 0]
            request.progress(done + stop, total, "rows")
        done += task.rows
        seen = np.zeros(task.rows, dtype=np.bool_)
        seen[rows] = True
        scored.append(Scored(scores, seen))
    return scored


def _classifier(options: Options) -> Pipeline:
    """Return the regression on its features; nothing in it draws."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # here: listing methods needs only numpy
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    features = make_union(
        TfidfVectorizer(token_pattern=r"(?u)\w+|[^\w\s]+", ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, options.letters), sublinear_tf=True, min_df=2),
    )
    return make_pipeline(features, LogisticRegression(C=options.inverse_regularisation, max_iter=1_000))


def _texts(dataset: Dataset, rows: npt.NDArray[np.int64]) -> list[str]:
    """Return the texts of some rows, the two of a pair as one."""
    first, second = dataset.texts(rows)
    return first if second is None else [f"{one} {other}" for one, other in zip(first, second, strict=True)]

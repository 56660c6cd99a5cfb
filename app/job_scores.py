"""How a job's scores are spread over each dataset, and where the cut lies."""

from __future__ import annotations

from app.job_files import JobFiles
from app.schemas_looks import Distribution, Distributions
from fastmtl.report.distributions import distributions


def distributions_of(files: JobFiles) -> Distributions:
    """Return how many rows of each dataset score how high, and how many of those were chosen."""
    with files.scores.local() as path:
        found = distributions(path, list(files.auxiliary))
    return Distributions(
        edges=found.edges,
        cut=found.cut,
        datasets=[
            Distribution(dataset=key, dataset_id=files.auxiliary[key].dataset_id, rows=rows, chosen=chosen)
            for key, (rows, chosen) in found.datasets.items()
        ],
    )

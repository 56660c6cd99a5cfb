"""Looks at a job's rows and scores, and at the shape of a dataset: what a page shows, in pieces of a bounded size.

What reads Parquet is imported by the first request for it: Arrow is 38 MiB, which a service without work does without.
"""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from app.auth import Reader
from app.job_files import job_files
from app.routes.answers import problems
from app.routes.datasets import DatasetId
from app.routes.jobs import JobId
from app.routes.route import ServiceRoute
from app.schemas_looks import DatasetRow, DatasetShape, Distributions, MapOut, Overlap, RowPage, RowsLeft, RowSort
from app.state import Parts

router = APIRouter(prefix="/v1", tags=["looks"], route_class=ServiceRoute)

DatasetKey = Annotated[str | None, Query(max_length=300, description="Only rows of the dataset with this key.")]
Offset = Annotated[int, Query(ge=0, le=100_000_000, description="Rows to pass over.", examples=[0])]
Count = Annotated[int, Query(ge=1, le=100, description="Rows on a page.", examples=[25])]


@router.get(
    "/jobs/{job_id}/rows",
    operation_id="list_chosen_rows",
    summary="Look at the chosen rows",
    responses=problems(404, 409, 422),
)
def list_chosen_rows(
    parts: Parts,
    caller: Reader,
    job_id: JobId,
    dataset: DatasetKey = None,
    text: Annotated[
        str | None, Query(max_length=200, description="Only rows whose texts hold this, in whatever case.")
    ] = None,
    sort: Annotated[RowSort, Query(description="What to sort by; equal ones by rank.")] = RowSort.RANK,
    descending: Annotated[bool, Query(description="Whether the highest come first.")] = False,
    offset: Offset = 0,
    limit: Count = 25,
) -> RowPage:
    """Return some of the chosen rows with texts and labels, and why each was chosen.

    To have all of them in one file, download the selection or the artifact `subset.parquet`.
    """
    from app.job_rows import Asked, page_of_chosen

    files = job_files(parts.database, parts.storage, caller.tenant_id, job_id)
    return page_of_chosen(files, Asked(offset, limit, dataset, text, sort, descending))


@router.get(
    "/jobs/{job_id}/rows/below",
    operation_id="list_rows_below",
    summary="Look at the rows that just missed",
    responses=problems(404, 409, 422),
)
def list_rows_below(
    parts: Parts, caller: Reader, job_id: JobId, dataset: DatasetKey = None, offset: Offset = 0, limit: Count = 25
) -> RowsLeft:
    """Return the rows that could have been chosen and were not, the highest score first; 1,000 at most.

    Under a selector that goes by the score alone (`above_cut` 0) they are those just below the cut.
    """
    from app.job_rows import Asked, page_below

    files = job_files(parts.database, parts.storage, caller.tenant_id, job_id)
    return page_below(files, Asked(offset, limit, dataset))


@router.get(
    "/jobs/{job_id}/scores",
    operation_id="get_scores",
    summary="Look at how rows score",
    responses=problems(404, 409, 422),
)
def get_scores(parts: Parts, caller: Reader, job_id: JobId) -> Distributions:
    """Return a histogram of the scores of every auxiliary dataset, with the chosen rows and the cut."""
    from app.job_scores import distributions_of

    files = job_files(parts.database, parts.storage, caller.tenant_id, job_id)
    return parts.looks.get(("scores", files.scores.sha256, str(job_id)), lambda: distributions_of(files))


@router.get(
    "/jobs/{job_id}/map",
    operation_id="get_map",
    summary="Look at where rows lie",
    response_model=MapOut,
    responses=problems(404, 409, 422),
)
def get_map(parts: Parts, caller: Reader, job_id: JobId) -> Response:
    """Return the t-SNE of the frozen encoder's vectors, for a job that was asked for one (`map_points`)."""
    from app.job_map import map_of

    files = job_files(parts.database, parts.storage, caller.tenant_id, job_id)
    # Written by the model itself: going over a hundred thousand points once more takes a second.
    return Response(map_of(files).model_dump_json(), media_type="application/json")


@router.get(
    "/jobs/{job_id}/overlap/{other_id}",
    operation_id="get_overlap",
    summary="Compare what two jobs chose",
    responses=problems(404, 409, 422),
)
def get_overlap(
    parts: Parts, caller: Reader, job_id: JobId, other_id: Annotated[uuid.UUID, Path(description="The other job's id.")]
) -> Overlap:
    """Return how many rows both jobs chose, and the share that each dataset has of either selection."""
    from app.job_overlap import overlap_of

    ours, theirs = (job_files(parts.database, parts.storage, caller.tenant_id, each) for each in (job_id, other_id))
    return overlap_of(ours, theirs)


@router.get(
    "/datasets/{dataset_id}/shape",
    tags=["datasets"],
    operation_id="get_dataset_shape",
    summary="Look at how a dataset's rows are spread",
    responses=problems(404, 422),
)
def get_dataset_shape(parts: Parts, caller: Reader, dataset_id: DatasetId) -> DatasetShape:
    """Return histograms of the lengths of rows and, of a regression, of labels."""
    from app.dataset_shape import shape_of

    described = parts.datasets.describe(caller.tenant_id, dataset_id)
    file = parts.datasets.file_of(caller.tenant_id, dataset_id)
    return parts.looks.get(("shape", described.digest, str(dataset_id)), lambda: shape_of(described, file))


@router.get(
    "/datasets/{dataset_id}/rows/{row}",
    tags=["datasets"],
    operation_id="get_dataset_row",
    summary="Look at a row of a dataset",
    responses=problems(404, 422),
)
def get_dataset_row(
    parts: Parts,
    caller: Reader,
    dataset_id: DatasetId,
    row: Annotated[int, Path(ge=0, le=2**53, description="Row number in the uploaded file, from 0.")],
) -> DatasetRow:
    """Return what a row says."""
    from app.dataset_shape import row_of

    described = parts.datasets.describe(caller.tenant_id, dataset_id)
    return row_of(described, parts.datasets.file_of(caller.tenant_id, dataset_id), row)

"""How soon the web page is useful with many jobs, and with a job over a million rows.

    python benchmarks/speed/looks.py       # 10,000 jobs, one of a million rows; it takes minutes

Makes a service on a scratch folder whose database holds so many finished jobs, one of them with a selection from so
many auxiliary rows and a map of so many points (scores, choice and map are made up, the files are what the steps
write). Then asks for everything that the page asks for, and opens the page in headless Chromium with an empty cache
(benchmarks/speed/browser.py). Writes looks.json.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import browser
import httpx2
import kit
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import update

from app.clock import now
from app.jobs import Claim
from app.keys import DEFAULT_TENANT
from app.models import Job, JobDataset, JobStep, Status
from app.page_files import read_page
from app.queue import Queue
from app.settings import Settings
from app.state import State, assemble
from fastmtl.client import Client

WORDS = np.array("the a cat dog bird fish river city train runs sleeps eats sings old new order refund price".split())
PORT = 8799
URL = f"http://127.0.0.1:{PORT}"


def write_rows(path: Path, rows: int, seed: int) -> Path:
    """Write a dataset of eight to twelve words a row."""
    draw = np.random.default_rng(seed)
    with path.open("w") as file:
        file.write("text,label\n")
        for row in range(rows):
            file.write(f"{' '.join(draw.choice(WORDS, draw.integers(8, 13)))} {row},{row % 2}\n")
    return path


@contextmanager
def serving(home: Path) -> Iterator[psutil.Process]:
    """Run `fastmtl serve` over a home."""
    environment = {"FASTMTL_HOME": str(home), "FASTMTL_PORT": str(PORT), "PATH": "/usr/bin:/bin"}
    environment["PYTHONPATH"] = ":".join(sys.path)
    with (home / "serve.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", "app.cli", "serve"], env=environment, stdout=log, stderr=log)
    try:
        for _ in range(600):
            with suppress(httpx2.TransportError):
                if httpx2.get(f"{URL}/v1/ready").is_success:
                    break
            time.sleep(0.1)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def fill(home: Path, rows: int, budget: int, points: int) -> str:
    """Upload the datasets, submit a job, and return its id."""
    key = (home / "api-key").read_text().strip()
    half = rows // 2
    files = {"primary": (2_000, 1), "large": (half, 2), "larger": (rows - half, 3)}
    with Client(URL, key) as client:
        ids = [client.upload(write_rows(home / f"{name}.csv", *of))["id"] for name, of in files.items()]
        config = {"method": "random", "budget": budget, "seen_rows": "include", "compare": [], "explain": 3}
        config |= {"map_points": points}
        return str(client.submit(ids[0], ids[1:], config=config, name="a million")["id"])


def choose(parts: State, job_id: str, rows: int, budget: int, points: int) -> None:
    """Finish the steps of the job with what they would have written."""
    done = False
    while not done:
        job = _job(parts, job_id)
        ready = [link for link in job if link.step.status == Status.QUEUED]
        done = not ready
        for link in ready:
            claim = parts.jobs.claim(link.step_id, "benchmark")
            assert claim is not None
            _finish(parts, claim, link.step.kind, rows, budget, points)


def _job(parts: State, job_id: str) -> list[JobStep]:
    with parts.database.reading() as session:
        links = list(session.get_one(Job, uuid.UUID(job_id)).steps)
        for link in links:
            _ = link.step.status
        return links


def _finish(parts: State, claim: Claim, kind: str, rows: int, budget: int, points: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder, result = Path(scratch), {}
        if kind == "select":
            result = write_selection(folder, rows, budget)
        if kind == "explain":
            write_explanations(folder, rows, budget)
        if kind == "map":
            write_map(folder, rows, budget, points)
        stored = parts.storage.store_folder(folder, f"steps/{claim.step_id}/{claim.fence}")
        parts.jobs.finish(claim, stored, result)


def chosen_of(rows: int, budget: int) -> tuple[np.ndarray, np.ndarray]:
    """Return made-up scores of all rows, and the places of the best, best first."""
    scores = np.random.default_rng(0).beta(1, 8, rows).astype(np.float32)
    return scores, np.argsort(-scores, kind="stable")[:budget]


def write_selection(folder: Path, rows: int, budget: int) -> dict[str, object]:
    """Write the files of the step that chooses."""
    scores, best = chosen_of(rows, budget)
    half = rows // 2
    keys, numbers = np.where(np.arange(rows) < half, "large", "larger"), np.arange(rows) % half
    selected = np.zeros(rows, dtype=bool)
    selected[best] = True
    table = pa.table(
        {"dataset": keys, "row": numbers, "score": scores, "seen": np.zeros(rows, bool), "selected": selected}
    )
    pq.write_table(table, folder / "scores.parquet", 65_536, compression="zstd")
    chosen = {"rank": np.arange(1, budget + 1), "dataset": keys[best], "row": numbers[best], "score": scores[best]}
    pq.write_table(pa.table(chosen), folder / "selection.parquet", compression="zstd")
    texts = {"text_a": [f"the cat runs {row}" for row in numbers[best]], "text_b": pa.nulls(budget, pa.string())}
    pq.write_table(pa.table({"rank": chosen["rank"], **texts}), folder / "subset.parquet", 8_192, compression="zstd")
    leaks = pa.schema([("dataset", pa.string()), ("row", pa.int64())])
    pq.write_table(leaks.empty_table(), folder / "leaks.parquet")
    counts = {}
    for key, size in (("large", half), ("larger", rows - half)):
        mine = int((keys[best] == key).sum())
        counts[key] = {"rows": size, "seen": 0, "leaked": 0, "eligible": size, "selected": mine}
        counts[key] |= {"share": mine / budget, "random_share": size / rows}
    return {"digest": "d" * 64, "counts": counts, "primary_leaks": 0}


def write_explanations(folder: Path, rows: int, budget: int) -> None:
    """Write the file of the step that explains."""
    write_selection(folder, rows, budget)
    table = pq.read_table(folder / "selection.parquet")
    for path in folder.iterdir():
        path.unlink()
    near = np.random.default_rng(1).integers(0, 2_000, (budget, 3))
    table = table.append_column("percentile", pa.array(np.linspace(100, 90, budget)))
    table = table.append_column("nearest_rows", pa.array(list(near), pa.list_(pa.int64())))
    table = table.append_column("similarities", pa.array([[0.9, 0.8, 0.7]] * budget, pa.list_(pa.float32())))
    pq.write_table(table, folder / "explanations.parquet", compression="zstd")


def write_map(folder: Path, rows: int, budget: int, points: int) -> None:
    """Write the file of the step that arranges rows: a quarter of them the primary's, in clouds that overlap."""
    draw = np.random.default_rng(2)
    scores, best = chosen_of(rows, budget)
    own = min(2_000, points // 4)
    shown = np.sort(draw.choice(rows, points - own, replace=False))
    half, selected = rows // 2, np.zeros(rows, dtype=bool)
    selected[best] = True
    middles = draw.normal(0, 20, (40, 2))
    place = middles[draw.integers(0, 40, points)] + draw.normal(0, 3, (points, 2))
    table = {"dataset": ["primary"] * own + np.where(shown < half, "large", "larger").tolist()}
    table |= {"row": np.concatenate([np.arange(own), shown % half]), "x": place[:, 0], "y": place[:, 1]}
    table |= {"score": pa.array([None] * own + scores[shown].tolist(), pa.float32())}
    table |= {"selected": np.concatenate([np.zeros(own, bool), selected[shown]])}
    pq.write_table(pa.table(table), folder / "map.parquet", compression="zstd")


def multiply(parts: State, job_id: str, jobs: int) -> None:
    """Write so many more jobs that look like the one, all over."""
    tenant = parts.keys.tenant(DEFAULT_TENANT).id
    at = now()
    with parts.database.transaction() as session:
        first = session.get_one(Job, uuid.UUID(job_id))
        members = [(each.position, each.dataset_id, each.role, each.key) for each in first.datasets]
        steps = [(each.position, each.step_id, each.name) for each in first.steps]
        for number in range(jobs):
            new = uuid.uuid4()
            more = {"config": first.config, "created_at": at, "started_at": at, "finished_at": at, "last_event": 0}
            session.add(Job(id=new, tenant_id=tenant, name=f"job {number}", status=Status.SUCCEEDED, **more))
            session.flush()
            for position, dataset_id, role, key in members:
                session.add(JobDataset(job_id=new, position=position, dataset_id=dataset_id, role=role, key=key))
            for position, step_id, name in steps:
                session.add(JobStep(job_id=new, position=position, step_id=step_id, name=name, reused=True))
        session.execute(update(Job).where(Job.id == first.id).values(created_at=now()))


def timed(home: Path, job_id: str, api: psutil.Process) -> dict[str, object]:
    """Ask for what the page asks for; return milliseconds, the first time apart, and what the API's memory grew by."""
    job, rows = f"/v1/jobs/{job_id}", f"/v1/jobs/{job_id}/rows"
    paths = ("/", "/v1/jobs?limit=20", job, rows, f"{rows}?offset=50000", f"{rows}?sort=score&descending=true")
    paths += (f"{rows}?sort=dataset", f"{rows}?text=999", f"{rows}/below", f"{job}/scores", f"{job}/map")
    paths += (f"{job}/overlap/{job_id}",)
    before, found = api.memory_info().rss, {}
    headers = {"Authorization": f"Bearer {(home / 'api-key').read_text().strip()}"}
    with httpx2.Client(base_url=URL, headers=headers, timeout=120) as client:
        datasets = [each["id"] for each in client.get(job).json()["datasets"]]
        for path in (*paths, f"/v1/datasets/{datasets[1]}/shape"):
            first, *later = [
                1_000 * kit.seconds(lambda path=path: client.get(path).raise_for_status()) for _ in range(4)
            ]
            found[path.replace(job_id, "ID").replace(datasets[1], "ID")] = {
                "first": round(first, 1),
                **kit.spread(later, 1),
            }
    return {"api_milliseconds": found, "api_memory_grew_mib": round((api.memory_info().rss - before) / 2**20, 1)}


def main() -> None:
    """Run it."""
    parser = kit.parser(__doc__)
    for name, default in (("jobs", 10_000), ("rows", 1_000_000), ("budget", 100_000), ("points", 100_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    about = kit.machine()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with serving(home):
            job_id = fill(home, asked.rows, asked.budget, asked.points)
        settings = Settings(home=home)
        parts = assemble(settings, Queue(settings))
        choose(parts, job_id, asked.rows, asked.budget, asked.points)
        multiply(parts, job_id, asked.jobs)
        parts.database.close()
        with serving(home) as api:
            sizes = {name: getattr(asked, name) for name in ("jobs", "rows", "budget", "points")}
            told = {**sizes, **timed(home, job_id, api)}
            told |= browser.looked_at(URL, (home / "api-key").read_text().strip(), job_id, asked.turns)
            told["api_memory_after_mib"] = round(api.memory_info().rss / 2**20, 1)
    kit.write("looks", {**told, "page_bytes": page_bytes(), "machine": about}, asked.results)


def page_bytes() -> dict[str, int]:
    """Return the bytes of all scripts and styles of the page, as they are sent; those of /docs apart."""
    files = read_page().files
    docs = [name for name in files if name.startswith(("vendor/swagger", "reference"))]
    return {
        "page_files": len(files) - len(docs),
        "page_gzipped": sum(len(each.gzipped) for name, each in files.items() if name not in docs),
        "docs_gzipped": sum(len(files[name].gzipped) for name in docs),
    }


if __name__ == "__main__":
    main()

"""A checkpoint is data: whatever it carries besides, none of it is ever run.

The folders here carry a pickle and a module that leave a mark when they run, under every name that a loader might
look for; `test_the_traps_work` shows that they would.
"""

from __future__ import annotations

import ast
import pickle
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from traps import MODULES, PICKLES, set_traps, trapped, without_safetensors

from fastmtl import encoders, pipeline
from fastmtl.config import EncoderConfig, JobConfig
from fastmtl.encoders import abilities, check_allowed, resolve
from fastmtl.errors import EncoderUnavailable, FastMTLError, InvalidConfig
from fastmtl.masked_lm import load_masked_lm
from fastmtl.model import load_checkpoint
from fastmtl.plan import TaskRef

ROOT = Path(__file__).parents[2]
TASKS = pipeline.Tasks(TaskRef("primary", "a" * 64, 100), (TaskRef("other", "b" * 64, 100),), None)


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[Path]:
    """Where a trap leaves its mark; the test fails if it does."""
    path = tmp_path / "it-was-run"
    yield path
    assert not path.exists(), "something in the checkpoint was run"


def test_the_traps_work(tmp_path: Path):
    for index, run in enumerate(
        (lambda folder: pickle.loads((folder / PICKLES[0]).read_bytes()), lambda folder: load(folder))
    ):
        folder, left = tmp_path / f"encoder-{index}", tmp_path / f"mark-{index}"
        run(trapped(folder, left))
        assert left.is_dir()


def load(folder: Path) -> None:
    runpy.run_path(str(folder / MODULES[0]))


def plan(folder: Path) -> object:
    config = JobConfig(encoder=EncoderConfig(name="mine"), budget=5, seen_rows="include")
    return pipeline.plan(config, TASKS, {"mine": f"folder:{folder}"})


WAYS: dict[str, Callable[[Path], object]] = {
    "allow": lambda folder: check_allowed({"mine": f"folder:{folder}"}),
    "plan": plan,
    "abilities": lambda folder: abilities("mine", {"mine": f"folder:{folder}"}),
    "resolve": lambda folder: resolve(f"folder:{folder}"),
    "digest": encoders.folder_digest,
    "load": lambda folder: load_checkpoint(folder, "auto", 32),
    "load with its head": lambda folder: load_masked_lm(folder, 32),
}


@pytest.mark.parametrize("way", WAYS)
def test_code_beside_safetensors_is_left_alone(tmp_path: Path, mark: Path, way: str):
    WAYS[way](trapped(tmp_path / "encoder", mark))


@pytest.mark.parametrize("way", WAYS)
def test_a_checkpoint_that_is_of_a_kind_only_its_own_code_knows_is_refused(tmp_path: Path, mark: Path, way: str):
    folder = trapped(tmp_path / "encoder", mark)
    set_traps(folder, mark, model_type="trap", architectures=["Trap"])
    if way.startswith("load"):
        with pytest.raises(EncoderUnavailable):
            WAYS[way](folder)
    else:
        WAYS[way](folder)


@pytest.mark.parametrize("way", [way for way in WAYS if way not in ("digest",)])
def test_a_checkpoint_with_pickled_weights_alone_is_refused(tmp_path: Path, mark: Path, way: str):
    folder = without_safetensors(trapped(tmp_path / "encoder", mark))
    with pytest.raises((FastMTLError, ValueError), match="safetensors"):
        WAYS[way](folder)


@pytest.mark.parametrize("way", ["load", "load with its head"])
def test_safetensors_under_another_name_lead_to_no_pickle(tmp_path: Path, mark: Path, way: str):
    folder = trapped(tmp_path / "encoder", mark)
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    with pytest.raises(EncoderUnavailable):
        WAYS[way](folder)


@pytest.mark.parametrize("way", ["allow", "plan", "abilities", "resolve"])
def test_an_index_of_shards_that_names_a_pickle_is_refused(tmp_path: Path, mark: Path, way: str):
    folder = trapped(tmp_path / "encoder", mark)
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"embeddings": "pytorch_model.bin"}}')
    with pytest.raises((FastMTLError, ValueError), match=r"names pytorch_model\.bin among its shards"):
        WAYS[way](folder)


def test_pickled_weights_alone_are_refused_with_what_to_do(tmp_path: Path, mark: Path):
    folder = without_safetensors(trapped(tmp_path / "encoder", mark))
    with pytest.raises(InvalidConfig) as refused:
        plan(folder)
    assert (refused.value.field, str(refused.value)) == (
        "config.encoder.name",
        f"the encoder 'mine' cannot be used: {folder} holds no safetensors weights; other formats are not read because "
        "they can run code. Convert it with `model.save_pretrained(folder, safe_serialization=True)`",
    )


FORBIDDEN_MODULES = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
FORBIDDEN_NAMES = {"eval", "exec", "__import__"}
FORBIDDEN_CALLS = {
    "torch.load",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "pandas.read_pickle",
    "pd.read_pickle",
}


def dangers(source: str) -> list[str]:
    """Return what in a source could run what it reads."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [each.name for each in node.names if each.name.partition(".")[0] in FORBIDDEN_MODULES]
        elif isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] in FORBIDDEN_MODULES:
            found.append(str(node.module))
        elif isinstance(node, ast.Call):
            found += _dangers_of(node)
    return found


def _dangers_of(call: ast.Call) -> list[str]:
    name = ast.unparse(call.func)
    given = {each.arg: ast.unparse(each.value) for each in call.keywords}
    found = [name] if name in FORBIDDEN_NAMES | FORBIDDEN_CALLS else []
    found += [
        f"{name}({key}={given[key]})" for key in ("allow_pickle", "trust_remote_code") if given.get(key) == "True"
    ]
    if name.endswith(".from_pretrained") and given.get("trust_remote_code") != "False":
        found.append(f"{name} without trust_remote_code=False")
    if name.startswith("AutoModel") and name.endswith(".from_pretrained") and given.get("use_safetensors") != "True":
        found.append(f"{name} without use_safetensors=True")
    return found


def test_no_source_reads_what_could_run():
    sources = {
        path: path.read_text() for folder in ("app", "fastmtl", "worker") for path in (ROOT / folder).rglob("*.py")
    }
    found = {str(path.relative_to(ROOT)): dangers(source) for path, source in sources.items()}
    assert len(found) > 50 and {path: told for path, told in found.items() if told} == {}


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import pickle", ["pickle"]),
        ("from joblib.memory import x", ["joblib.memory"]),
        ("torch.load(path)", ["torch.load"]),
        ("np.load(path, allow_pickle=True)", ["np.load(allow_pickle=True)"]),
        ("np.load(path)", []),
        ("yaml.load(text)", ["yaml.load"]),
        ("yaml.safe_load(text)", []),
        ("eval(text)", ["eval"]),
        ("model.eval()", []),
        ("AutoTokenizer.from_pretrained(x)", ["AutoTokenizer.from_pretrained without trust_remote_code=False"]),
        ("AutoModel.from_pretrained(x, trust_remote_code=False, use_safetensors=True)", []),
    ],
)
def test_the_reader_of_sources_finds_what_it_looks_for(source: str, told: list[str]):
    assert dangers(source) == told

"""A training step in processes of its own, which can be killed and gone on with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from pools import write_dataset
from tiny import WORDS, write_encoder

from fastmtl.artifacts import sha256
from fastmtl.keeping import Keeping, complete
from fastmtl.plan import StepSpec
from worker.protocol import Request


class Training:
    """A training step in processes of its own."""

    def __init__(self, root: Path, device: str = "cpu") -> None:
        self.root, self.device = root, device
        rows = [(f"the cat {word}", str(index % 2)) for index, word in enumerate(WORDS)]
        self.primary = write_dataset(root, "rows", rows)
        encoder = write_encoder("bert", root / "bert")
        self.spec = StepSpec(
            kind="discriminator",
            name="discriminator",
            version=1,
            params={
                "encoder": {"location": f"folder:{encoder}", "pooling": "mean", "max_length": 16},
                "discriminator": {"epochs": 8, "batch_size": 4, "rows_per_task": 40},
                "precision": "fp32",
                "seed": 3,
            },
            datasets=(self.primary.digest,),
        )

    def start(self, name: str, *older: str) -> subprocess.Popen[bytes]:
        """Begin an attempt of that name, which goes on from older ones, the latest first."""
        folder = self.root / name
        folder.mkdir()
        kept = self.root / "kept"
        asked = Request(
            spec=self.spec.to_json(),
            datasets={self.primary.digest: self.root / "rows"},
            inputs={},
            device=self.device,
            threads=1,
            keeping=Keeping(kept / name, tuple(kept / each for each in older), 0.001),
        )
        (folder / "request.json").write_text(asked.model_dump_json())
        with (folder / "told").open("wb") as told:
            return subprocess.Popen([sys.executable, "-m", "worker.child", str(folder), str(os.getpid())], stdout=told)

    def start_and_kill(self, name: str, *older: str, steps: int) -> None:
        """Begin an attempt and kill it as soon as it has kept so many steps."""
        with self.start(name, *older) as child:
            while not any(int(path.name[:8]) >= steps for path in complete(self.root / "kept" / name)):
                assert child.poll() is None, "it was over before it was killed"
                time.sleep(0.01)
            child.kill()

    def left(self, name: str) -> dict[str, str]:
        """Digests of what an attempt has learnt."""
        output = self.root / name / "output"
        files = [*(output / "model").glob("*.safetensors"), output / "history.json"]
        return {path.name: sha256(path) for path in files}

    def metrics(self, name: str) -> list[dict]:
        lines = [json.loads(line) for line in (self.root / name / "told").read_text().splitlines()]
        return [line["metrics"] for line in lines if line["metrics"]]

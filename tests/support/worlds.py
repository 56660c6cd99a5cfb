"""Small worlds for whole runs: datasets of a few rows, a config of a few steps, and what is left behind."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pyarrow.parquet as pq

from fastmtl.config import JobConfig
from fastmtl.local import Result, select_rows

ANIMALS = ("cat", "dog", "bird", "fish")
ACTS = ("runs", "sleeps", "eats", "sings", "swims")
PLACES = ("river", "city", "train", "shop")


def write_csv(path: Path, header: str, rows: list[tuple]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header.split(","), *rows])
    return path


def read_csv(path: Path) -> list[tuple]:
    with path.open(newline="", encoding="utf-8") as file:
        return [tuple(row) for row in csv.reader(file)][1:]


def about_animals(rows: int, seed: int) -> list[tuple]:
    """Single texts; label: whether the animal is a cat. Numbers that the encoder does not know make no two alike."""
    draw = random.Random(seed)
    texts = [
        f"the {draw.choice(ANIMALS)} {draw.choice(ACTS)} in the {draw.choice(PLACES)} {draw.getrandbits(64)}"
        for _ in range(rows)
    ]
    return [(text, "cat" if "cat" in text else "other") for text in texts]


def about_shops(rows: int, seed: int) -> list[tuple]:
    """Pairs; label: a number."""
    draw = random.Random(seed)
    words = ("order", "refund", "price", "late", "early", "days", "ten", "two", "three", "shop")
    return [
        (" ".join(draw.choices(words, k=5)), " ".join(draw.choices(words, k=3)), draw.randint(0, 8) / 2 + 0.25)
        for _ in range(rows)
    ]


def write_world(folder: Path) -> dict[str, Path]:
    """Write a primary about animals, rows held out of it, one auxiliary like it and one that is not."""
    return {
        "primary": write_csv(folder / "primary.csv", "text_a,label", about_animals(40, 1)),
        "validation": write_csv(folder / "held.csv", "text_a,label", about_animals(30, 2)),
        "alike": write_csv(folder / "alike.csv", "text_a,label", about_animals(60, 3)),
        "unlike": write_csv(folder / "unlike.csv", "text_a,text_b,label", about_shops(60, 4)),
    }


def config(encoder: str = "bert", max_length: int = 24, **changes: object) -> JobConfig:
    small = {
        "encoder": {"name": encoder, "max_length": max_length},
        "budget": 20,
        "discriminator": {"rows_per_task": 20, "epochs": 4, "learning_rate": 2e-3, "batch_size": 8},
        "target": {"epochs": 2, "learning_rate": 1e-3, "batch_size": 8},
        "finetuning": {"epochs": 2, "learning_rate": 1e-3, "batch_size": 8},
        "precision": "fp32",
    }
    return JobConfig.model_validate({**small, **changes})


def run(world: dict[str, Path], output: Path, known: dict[str, str], **options: object) -> Result:
    settings = {"config": config(), "validation": world["validation"], "device": "cpu", **options}
    return select_rows(world["primary"], [world["alike"], world["unlike"]], output, known_encoders=known, **settings)


def chosen(folder: Path) -> list[tuple[str, int]]:
    table = pq.read_table(folder / "selection.parquet")
    return list(zip(table["dataset"].to_pylist(), table["row"].to_pylist(), strict=True))

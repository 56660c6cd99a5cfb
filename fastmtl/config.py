"""What a job means: `JobConfig`, the only place with defaults.

The same frozen object is the request body, the JSON in the database, the worker's argument and, hashed, a part of every
step's fingerprint. Defaults are those of the published code (Kung et al., EMNLP 2021; MiuLab/FastMTL) but for the
encoder, which is one that comes as a package and so needs no download. `preset` replaces several at once; a field that
the user writes always wins.

Torch-free.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

PACKAGED_ENCODER = "all-MiniLM-L6-v2"

Pooling = Literal["auto", "pooler", "first", "mean"]
Precision = Literal["auto", "bf16", "fp32"]
ArmName = Annotated[str, Field(min_length=1, max_length=100)]

Epochs = Annotated[int, Field(ge=1, le=100, description="Passes over the training rows.", examples=[3])]
BatchSize = Annotated[
    int, Field(ge=1, le=4096, description="Rows in a batch; one batch holds one task.", examples=[32])
]
LearningRate = Annotated[
    float, Field(gt=0, le=1, description="Peak learning rate of AdamW; it falls linearly to zero.", examples=[2e-5])
]
Seed = Annotated[int, Field(ge=0, lt=2**32)]

PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    # For CPUs and the packaged encoder: a small encoder wants a larger step.
    "small": {
        "discriminator": {"learning_rate": 1e-4},
        "target": {"learning_rate": 1e-4},
        "finetuning": {"learning_rate": 5e-5},
    },
}


class Frozen(BaseModel):
    """A record that cannot change and takes no field it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class EncoderConfig(Frozen):
    """The shared encoder of every model of the job."""

    name: str = Field(
        PACKAGED_ENCODER,
        min_length=1,
        max_length=200,
        description="One of the encoders this deployment allows.",
        examples=[PACKAGED_ENCODER],
    )
    pooling: Pooling = Field(
        "auto",
        description="How token vectors become one row vector: the checkpoint's pooler, its first token, the mean over "
        "tokens, or `auto`: what the checkpoint says, else a trained pooler where it has one, else the mean.",
        examples=["auto"],
    )
    max_length: int = Field(
        128, ge=8, le=8192, description="Tokens kept of a row; longer rows are cut.", examples=[128]
    )


class TrainingConfig(Frozen):
    """One training: AdamW, linear decay without warm-up, gradients clipped."""

    epochs: Epochs = 3
    learning_rate: LearningRate = 2e-5
    batch_size: BatchSize = 32


class DiscriminatorConfig(TrainingConfig):
    """TD-MTDNN: the multi-task network trained together with the task discriminator (paper, section 3.2)."""

    epochs: Epochs = 5
    loss: Literal["ce", "bce"] = Field(
        "ce",
        description="`ce`: one softmax over the tasks; `bce`: one sigmoid a task, positives weighted by rows.",
        examples=["ce"],
    )
    read_as: Literal["trained", "sigmoid"] = Field(
        "trained",
        description="How its output becomes a score: as it was trained, or, as the published code does also after "
        "`ce`, through a sigmoid on the primary's logit alone, which orders rows differently.",
        examples=["trained"],
    )
    rows_per_task: int = Field(
        500,
        ge=1,
        le=1_000_000,
        description="Rows drawn of every task to train on, also by the method `classifier`; a smaller task gives all "
        "it has.",
        examples=[500],
    )


class FinetuningConfig(TrainingConfig):
    """The last training: TO-MTDNN on the primary alone."""

    epochs: Epochs = 5
    choice_share: float = Field(
        0.1,
        ge=0,
        le=0.5,
        description="Share of the primary's training rows kept aside to choose the epoch; 0 keeps the last epoch.",
        examples=[0.1],
    )
    choose_on: Literal["primary", "measured"] = Field(
        "primary",
        description="Rows that choose the epoch: those kept aside of the primary, or, as the published code does, the "
        "very rows that are then measured on, which flatters every figure.",
        examples=["primary"],
    )


class JobConfig(Frozen):
    """Everything that decides what a selection job computes, but for the datasets themselves."""

    preset: Literal["paper", "small"] = Field(
        "paper",
        description="Where unwritten fields take their values from: the paper's, or sizes for a CPU.",
        examples=["small"],
    )
    encoder: EncoderConfig = EncoderConfig()
    method: str = Field(
        "discriminator",
        max_length=100,
        description="How auxiliary rows are scored: `discriminator` is the paper's; GET /v1/options lists all with a "
        "sentence each.",
        examples=["discriminator"],
    )
    selector: str = Field(
        "top",
        max_length=100,
        description="How scores become exactly `budget` rows: `top` is the paper's; GET /v1/options lists all.",
        examples=["top"],
    )
    options: dict[str, dict[str, JsonValue]] = Field(
        {},
        max_length=50,
        description="Settings of methods and selectors, by their names; GET /v1/options lists them with their bounds.",
        examples=[{"embedding": {"nearest": 8}}],
    )
    budget: int = Field(1000, ge=1, le=100_000_000, description="Auxiliary rows to choose, exactly.", examples=[1000])
    seen_rows: Literal["exclude", "include"] = Field(
        "exclude",
        description="Whether auxiliary rows that trained the discriminator can be chosen. The paper leaves them out: "
        "their scores are biased against the primary.",
        examples=["exclude"],
    )
    leak_guard: Literal["near", "exact", "off"] = Field(
        "near",
        description="Which auxiliary rows are kept out because they also stand among the rows that are measured on, "
        "the validation dataset's or else the primary's: those equal or nearly equal in their texts, those equal but "
        "for case and punctuation, or none.",
        examples=["near"],
    )
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    target: TrainingConfig = Field(
        TrainingConfig(), description="TO-MTDNN: a fresh encoder on the primary and the chosen rows."
    )
    finetuning: FinetuningConfig = FinetuningConfig()
    compare: tuple[ArmName, ...] = Field(
        ("primary_only",),
        max_length=32,
        description="Arms trained beside the selection, with as many optimiser steps and the same seeds: "
        "`primary_only` (no auxiliary row), a method's name (as many rows, chosen by it), `all_data` (every eligible "
        "row, as many an epoch as the budget); or `full`, every row in every epoch, which takes more steps.",
        examples=[["primary_only", "random_balanced"]],
    )
    repeats: int = Field(
        1,
        ge=1,
        le=50,
        description="How often every arm is trained, with training_seed, training_seed + 1 and so on; the arms are "
        "paired by seed. Fewer than three tell little of the chance in training.",
        examples=[5],
    )
    repeat: Literal["training", "selection"] = Field(
        "training",
        description="What a repetition begins with: the training on the rows chosen once (only arms that draw by seed "
        "draw anew), or the choice itself, the discriminator's training included.",
        examples=["training"],
    )
    budget_curve: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (),
        max_length=20,
        description="Smaller budgets to train on as well: so many of the best chosen rows, with as many optimiser "
        "steps. The report recommends the smallest that is as good as the best.",
        examples=[[125, 250, 500]],
    )
    leave_one_out: bool = Field(
        False,
        description="Whether to train once more without the chosen rows of each auxiliary dataset, to tell which of "
        "them helped or hurt.",
        examples=[False],
    )
    explain: int = Field(
        3,
        ge=0,
        le=20,
        description="Primary rows named for every chosen row: those nearest to it in the frozen encoder's space; 0 "
        "does without.",
        examples=[3],
    )
    map_points: int = Field(
        0,
        ge=0,
        le=200_000,
        description="Points of a map, a t-SNE of the frozen encoder's vectors: chosen rows, rows of the primary, and a "
        "draw of the others; 0 does without.",
        examples=[5000],
    )
    holdout_share: float = Field(
        0.2,
        gt=0,
        le=0.5,
        description="Share of the primary's rows kept aside to measure on where no validation dataset is given.",
        examples=[0.2],
    )
    precision: Precision = Field(
        "auto",
        description="Arithmetic of the encoder: `bf16` autocast, `fp32`, or `auto`: bf16 where the device has it.",
        examples=["auto"],
    )
    seed: Seed = Field(
        0, description="Draws the rows and weights of TD-MTDNN, and the order of the `random` method.", examples=[0]
    )
    training_seed: Seed = Field(
        0, description="Draws the splits, weights and batches of everything after the selection.", examples=[0]
    )

    @model_validator(mode="before")
    @classmethod
    def fill_from_preset(cls, data: Any) -> Any:  # noqa: ANN401 - whatever the caller sent; checked next
        """Put the preset's values under the fields that the user did not write."""
        if not isinstance(data, dict):
            return data
        preset = PRESETS.get(data.get("preset", "paper"), {}) if isinstance(data.get("preset", ""), str) else {}
        return _merged(preset, data)

    @model_validator(mode="after")
    def check_arms(self) -> JobConfig:
        """Refuse what is named twice, and a curve that does not lie below the budget."""
        if len(set(self.compare)) != len(self.compare):
            raise ValueError("compare: an arm is named twice")
        if len(set(self.budget_curve)) != len(self.budget_curve):
            raise ValueError("budget_curve: a budget is named twice")
        if self.budget_curve and max(self.budget_curve) >= self.budget:
            raise ValueError(f"budget_curve: every budget must be smaller than budget, {self.budget:,}")
        return self


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` laid on `under`, one level of nested sections deep."""
    result = {**under, **over}
    for key, section in under.items():
        if isinstance(section, dict) and isinstance(over.get(key), dict):
            result[key] = {**section, **over[key]}
    return result

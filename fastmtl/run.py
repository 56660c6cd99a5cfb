"""A training under way: all that changes while it runs, so that another attempt can go on where it was cut off."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from fastmtl.checkpoints import Checkpoints, State
from fastmtl.device import Machine
from fastmtl.plan import Progress
from fastmtl.portion import Portion
from fastmtl.telling import tell_metrics

MAX_GRADIENT_NORM = 1.0


class Run:
    """Model, optimiser, schedule, and how far they are; what is drawn besides is drawn anew from seed and epoch."""

    def __init__(
        self, model: nn.Module, learning_rate: float, steps: int, machine: Machine, portion: Portion, seed: int
    ) -> None:
        """Begin a training of so many steps: AdamW on what is not frozen, with a rate that falls linearly to zero."""
        model.to(machine.device)
        torch.manual_seed(seed)  # dropout draws from torch's own generator: there is no other way to seed it
        trained = {name: each for name, each in model.named_parameters() if each.requires_grad}
        self._weights = {name: each.detach() for name, each in (trained | dict(model.named_buffers())).items()}
        """What training may change in the model, by name; tensors that two layers share once."""
        self._trained = list(trained.values())
        self.optimiser = torch.optim.AdamW(self._trained, lr=learning_rate, weight_decay=0.0, fused=True)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, lambda step: 1 - step / steps)
        self._device = machine.device
        self._portion = portion
        self.epoch = 0
        """Epochs that are over, and what came after each with them."""
        self.batch = 0
        """Batches of this epoch that are done."""
        self.rows = 0
        self.losses: list[float] = []
        self.total = torch.zeros((), device=machine.device)
        """Sum of this epoch's losses."""

    def step(self, rows: int, loss: torch.Tensor) -> None:
        """Take an optimiser step with the gradients of a batch of so many rows."""
        _clip([each.grad for each in self._trained if each.grad is not None])
        self.optimiser.step()
        self.optimiser.zero_grad()
        self._schedule.step()
        self.total += loss
        self.batch += 1
        self.rows += rows

    def end_epoch(self, loss: float) -> None:
        """Note the epoch's mean loss and begin the next."""
        self.losses.append(loss)
        self.epoch, self.batch = self.epoch + 1, 0
        self.total.zero_()

    def end(self) -> None:
        """Let go of what only another step would need."""
        self.optimiser.state.clear()

    def go_on(self, checkpoints: Checkpoints, progress: Progress) -> None:
        """Take up where the attempt before was cut off, if it was, and be kept from now on."""
        if kept := checkpoints.take("training"):
            self._put_back(kept)
            tell_metrics(progress, {"resumed_at_step": self._schedule.last_epoch, "epoch": self.epoch + 1})
        checkpoints.keep("training", self.state)

    def state(self) -> State:
        """Return all that `_put_back` needs."""
        tensors = {f"model/{name}": tensor for name, tensor in self._weights.items()}
        moments = self.optimiser.state_dict()["state"]
        for index, values in moments.items():
            tensors |= {f"optimiser/{index}/{name}": value for name, value in values.items()}
        tensors |= {"total": self.total, "random/cpu": torch.get_rng_state()}
        if self._device.startswith("cuda"):
            tensors["random/cuda"] = torch.cuda.get_rng_state(self._device)
        facts = {
            "epoch": self.epoch,
            "batch": self.batch,
            "rows": self.rows,
            "losses": self.losses,
            "rows_at_once": self._portion.size,
            "rates": [group["lr"] for group in self.optimiser.param_groups],
            "schedule": self._schedule.state_dict(),
        }
        return State(tensors, facts)

    def _put_back(self, kept: State) -> None:
        """Bring everything into the state that was kept."""
        for name, tensor in self._weights.items():
            tensor.copy_(kept.tensors[f"model/{name}"])
        moments: dict[int, dict[str, Any]] = {}
        for name, tensor in kept.tensors.items():
            kind, _, rest = name.partition("/")
            if kind == "optimiser":
                index, _, moment = rest.partition("/")
                moments.setdefault(int(index), {})[moment] = tensor
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})
        facts = kept.facts
        for group, rate in zip(self.optimiser.param_groups, facts["rates"], strict=True):
            group["lr"] = rate
        self._schedule.load_state_dict(facts["schedule"])
        self.epoch, self.batch, self.rows = facts["epoch"], facts["batch"], facts["rows"]
        self.losses, self._portion.size = facts["losses"], min(self._portion.size, facts["rows_at_once"])
        self.total.copy_(kept.tensors["total"])
        torch.set_rng_state(kept.tensors["random/cpu"])
        if self._device.startswith("cuda"):
            torch.cuda.set_rng_state(kept.tensors["random/cuda"], self._device)


def _clip(gradients: list[torch.Tensor]) -> None:
    """Do what `nn.utils.clip_grad_norm_` does, to the bit, without the milliseconds that it takes for each to move it.

    All gradients are on one device.
    """
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    torch._foreach_mul_(gradients, torch.clamp(MAX_GRADIENT_NORM / (norm + 1e-6), max=1.0))

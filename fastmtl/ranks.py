"""One training by several processes of a host, each with a device of its own: every batch is shared out among them.

Each computes the gradients of its rows, and what they contribute to those of the mean loss is summed over all before
the optimiser's step, so the steps are those that one process would take, up to rounding. torch's own
DistributedDataParallel sums while it still computes, and so cannot take a batch back that did not fit in memory; here a
process halves its share by itself (fastmtl.portion) while the others wait for its sum.

Where there is one process, nothing of this happens.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from torch import distributed, nn

from fastmtl.batches import Batch

PATIENCE = timedelta(minutes=30)
"""How long the others may take for a share: a batch that does not fit is taken again and again, in halves."""


class Ranks:
    """The processes of a training; this one is the `rank`-th of `count`."""

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.rank, self.count = rank, count

    @classmethod
    def here(cls) -> Ranks:
        """Return those that this process has joined; itself alone where it has joined none."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    @classmethod
    def join(cls, rank: int, count: int, device: str, meeting: Path) -> Ranks:
        """Join the others; `meeting` is a file that none of them has made yet."""
        backend = "nccl" if device.startswith("cuda") else "gloo"
        if device.startswith("cuda"):
            torch.cuda.set_device(device)
        distributed.init_process_group(
            backend, init_method=f"file://{meeting}", rank=rank, world_size=count, timeout=PATIENCE
        )
        return cls(rank, count)

    def share(self, batch: Batch) -> Batch:
        """Return this process's rows of a batch, long and short ones as the others have them; there may be none."""
        return batch if self.count == 1 else Batch(batch.source, batch.rows[self.rank :: self.count])

    def rows_of(self, batch_size: int) -> int:
        """Return how many rows of a whole batch are this process's."""
        return len(range(self.rank, batch_size, self.count))

    def agree(self, model: nn.Module) -> None:
        """Begin with the weights of the first process."""
        if self.count > 1:
            for tensor in model.state_dict().values():
                distributed.broadcast(tensor, src=0)

    def seed(self, seed: int, step: int) -> None:
        """Let this process draw dropout of its own, the same whenever a step is taken again."""
        if self.count > 1:
            torch.manual_seed(int(np.random.SeedSequence([seed, step, self.rank]).generate_state(1)[0]))

    def sum(self, parameters: Iterable[nn.Parameter], loss: torch.Tensor) -> torch.Tensor:
        """Sum gradients over all processes, in place, and return the sum of the loss.

        A parameter that has a gradient nowhere, a head of another task, is left without one.
        """
        if self.count == 1:
            return loss
        trained = [each for each in parameters if each.requires_grad]
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in trained]
        there = torch.tensor([each.grad is not None for each in trained], dtype=torch.float32, device=loss.device)
        flat = torch.cat([*(each.reshape(-1).float() for each in gradients), there, loss.reshape(1).float()])
        distributed.all_reduce(flat)
        sizes = [each.numel() for each in trained]
        *summed, found, total = torch.split(flat, [*sizes, len(trained), 1])
        for parameter, gradient, any_of_them in zip(trained, summed, found.tolist(), strict=True):
            parameter.grad = gradient.view_as(parameter).to(parameter.dtype) if any_of_them else None
        return total[0]

"""Which device computes, and in which arithmetic; decided once a step and told in what the step leaves behind."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from torch.utils import deterministic

from fastmtl.config import Precision
from fastmtl.errors import InvalidConfig
from fastmtl.lanes import MOST
from fastmtl.processor import cpuinfo, processor_name
from fastmtl.ranks import Ranks

BYTES_A_TOKEN = 2**17
"""Of a GPU's memory for a token of an inference batch: what an encoder of width 1,024 takes, with room to spare."""


@dataclass(frozen=True)
class Machine:
    """Where a step runs."""

    device: str
    """`cpu` or `cuda:N`."""
    precision: Precision
    """`bf16` or `fp32`."""
    name: str
    """Of the processor or GPU, for reports."""
    free_bytes: int
    """Memory that the step may fill."""

    @property
    def groups(self) -> int:
        """Groups of like length that a training batch is encoded in.

        A CPU's time goes with the tokens: four groups of 8 GLUE rows hold 1.2 times the real ones, one of 32 twice. A
        GPU's goes with the launches where batches are this small.
        """
        return 4 if self.device == "cpu" else 1

    @property
    def tokens_at_once(self) -> int:
        """Tokens of an inference batch.

        On a CPU what one layer makes of 2,048 still lies in its caches. A GPU is busy while Python tells it the next
        batch only where this one is large (docs/performance.md), as far as its memory holds that.
        """
        if self.device == "cpu":
            return 2_048
        return min(65_536, max(2_048, self.free_bytes // BYTES_A_TOKEN))

    @property
    def batches_at_once(self) -> int:
        """Inference batches that are computed side by side at the most (fastmtl.lanes).

        One on a GPU; on a CPU one for each free GiB, of which a batch of a large encoder takes a fifth.
        """
        if self.device != "cpu":
            return 1
        return max(1, min(torch.get_num_threads(), MOST, self.free_bytes // 2**30))

    def autocast(self) -> torch.autocast:
        """Return the context in which the encoder runs."""
        kind = self.device.partition(":")[0]
        return torch.autocast(kind, dtype=torch.bfloat16, enabled=self.precision == "bf16")


def devices(wanted: str) -> list[str]:
    """Return the devices that a setting names, e.g. `cuda:0,cuda:1`: trainings share them, all else takes the first."""
    return [each.strip() for each in wanted.split(",")]


def choose_device(wanted: str) -> str:
    """Return the device that `auto` means here, or the one that is asked for, the first of several.

    Raises InvalidConfig where it is not there.
    """
    wanted = devices(wanted)[0]
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise InvalidConfig("device", f"{wanted} is asked for, but torch sees no CUDA device here")
    if wanted.startswith("cuda:") and int(wanted.removeprefix("cuda:")) >= (count := torch.cuda.device_count()):
        raise InvalidConfig("device", f"{wanted} is asked for, but the last device here is cuda:{count - 1}")
    return wanted


def describe(device: str, precision: Precision) -> Machine:
    """Settle the precision for a device and say what it is."""
    if device.startswith("cuda"):
        has_bf16 = torch.cuda.is_bf16_supported()
        free, _ = torch.cuda.mem_get_info(device)
        name = torch.cuda.get_device_name(device)
    else:
        has_bf16 = _cpu_has_bf16()
        free = _free_memory()
        name = f"{processor_name()}, {torch.get_num_threads()} threads"
    if (count := Ranks.here().count) > 1:
        name = f"{count} x {name}"
    settled: Precision = precision if precision != "auto" else ("bf16" if has_bf16 else "fp32")
    return Machine(device, settled, name, free)


def make_deterministic() -> None:
    """Ask torch for the same result twice: only kernels whose sums have one order."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read by cuBLAS at its first use
    torch.use_deterministic_algorithms(True, warn_only=True)
    # A debugging aid that costs a tenth of a step.
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    # It is prepared anew for every shape, which takes seconds, and its sums have no one order.
    torch.backends.cuda.enable_cudnn_sdp(False)


def _cpu_has_bf16() -> bool:
    """Whether bf16 products have instructions of their own; emulated, they are slower than fp32."""
    flags = cpuinfo("flags").split()
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _free_memory() -> int:
    """Return the bytes that this process may still take: the machine's, or its control group's if that is less."""
    free = psutil.virtual_memory().available
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and used.exists() and (text := limit.read_text().strip()) != "max":
        free = min(free, int(text) - int(used.read_text()))
    return free

"""What the machine is and how it is used: the device, the precision of the network, and repeatable arithmetic."""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import cv2
import psutil
import torch

from render.errors import MissingError, UsageError, did_you_mean

CGROUP_LIMIT, CGROUP_USED, CGROUP_CPU = (
    Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current", "cpu.max")
)
LEFT = 1 / 16
"""Share of many cores left to what works beside the dream; ffmpeg takes 2 to 4 % of a film's time on two."""
MOST_THREADS = 32
"""Of the dream; a picture's layers are too small to be shared out among more."""
MOST_FLOW_THREADS = 4
MOST_TOLD = 256
"""Threads that a film may say it was made with; OMP_NUM_THREADS may be more than we take."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_BLOCK, LARGEST_BLOCK_ONCE = 2**30, 2**25
"""Bytes of the largest block that is kept when it is freed, and the most that older glibcs take for it."""
DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Machine:
    """The device that dreams, and the number format its network runs in; everything else is float32."""

    device: torch.device
    precision: str

    @property
    def dtype(self) -> torch.dtype:
        """The network's dtype."""
        return PRECISIONS[self.precision]

    def describe(self) -> dict[str, str | int]:
        """What of the machine a picture's bytes depend on, in plain JSON."""
        gpu = self.device.type == "cuda"
        return {
            "device": torch.cuda.get_device_name(self.device) if gpu else self.device.type,
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "precision": self.precision,
            "threads": torch.get_num_threads(),
            "flow_threads": cv2.getNumThreads(),
        }


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device, or in what a container may have of them."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = psutil.virtual_memory().available
    try:
        limit = int(CGROUP_LIMIT.read_text()) - int(CGROUP_USED.read_text())
    except (OSError, ValueError):  # no container, or no limit
        return free
    return min(free, limit)


def cores() -> int:
    """The cores that this process may use: of the machine, or of what a container may have of it."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = CGROUP_CPU.read_text().split()
        return max(1, min(mine, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no container, or no limit
        return mine


def threads(count: int) -> tuple[int, int]:
    """How many threads dream, and how many find flow beside it, on so many cores."""
    dreaming = min(count - int(count * LEFT), MOST_THREADS)
    return dreaming, min(count, MOST_FLOW_THREADS)


def share_cores(dreaming: object = None, flowing: object = None) -> None:
    """Gives the cores to those who work at the same time, unless the environment says how (OMP_NUM_THREADS).

    A film's bytes depend on how many threads there are, so that one which was begun has its own number again.
    """
    usual = threads(cores())
    if _is_number(dreaming):
        torch.set_num_threads(dreaming)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(torch.get_num_threads(), usual[0]))
    cv2.setNumThreads(flowing if _is_number(flowing) else usual[1])


def _is_number(threads: object) -> TypeGuard[int]:
    """Whether a file tells a number of threads that can be."""
    return type(threads) is int and 1 <= threads <= MOST_TOLD


def keep_memory() -> None:
    """Lets glibc keep large blocks that are freed, and hand them out again, instead of asking Linux for new pages.

    A step allocates what the step before it did; fetched and zeroed anew, pages took a fifth of a step of the embedded
    network. Elsewhere nothing is changed. See mallopt(3).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        if not mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK):
            mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK_ONCE)
        mallopt(M_TRIM_THRESHOLD, LARGEST_BLOCK)


def choose(device: str = "auto", precision: str = "auto", dreaming: object = None, flowing: object = None) -> Machine:
    """The machine by the names of the command line.

    `auto` takes the GPU where there is one, and bfloat16 where that GPU computes in it, else float32. Also shares out
    the cores (`dreaming` and `flowing` are the threads that a film had before), keeps memory, and makes convolutions
    repeatable, so that the same scene gives the same bytes. Raises UsageError for an unknown name, MissingError when
    this machine has no such device.
    """
    if device not in DEVICES:
        raise UsageError(f"unknown device '{device}'{did_you_mean(device, DEVICES)}")
    if precision not in ("auto", *PRECISIONS):
        raise UsageError(f"unknown precision '{precision}'{did_you_mean(precision, ('auto', *PRECISIONS))}")
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        device = next(name for name in ("cuda", "mps", "cpu") if present[name])
    if not present[device]:
        raise MissingError(f"this machine has no {device} device that torch can use; --device auto takes what there is")
    share_cores(dreaming, flowing)
    keep_memory()
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    if precision == "auto":
        precision = "bfloat16" if device == "cuda" and torch.cuda.is_bf16_supported(False) else "float32"
    return Machine(torch.device(device), precision)

"""Memory: how much is free, how freed blocks are reused, and which errors mean that it ran out."""

from __future__ import annotations

import ctypes
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import torch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
MAX_RETAINED_BLOCK, MAX_RETAINED_BLOCK_OLD_GLIBC = 2**30, 2**25
"""Bytes of the largest block that is retained when it is freed, and the largest value that older glibcs accept."""
CGROUP_MEMORY_MAX = Path("/sys/fs/cgroup/memory.max")
CGROUP_MEMORY_CURRENT = Path("/sys/fs/cgroup/memory.current")

_OUT_OF_MEMORY = re.compile(
    "out of memory|can't allocate memory|Insufficient memory|bad_alloc|"
    "could not create a primitive|can't start new thread"
)
"""Messages of torch, OpenCV, oneDNN and Python."""


def free_memory(device: torch.device | None = None) -> int:
    """Returns the free bytes of a device, or of main memory, within the limit of the container."""
    if device is not None and device.type == "cuda":
        import torch

        return torch.cuda.mem_get_info(device)[0]
    free = psutil.virtual_memory().available
    try:
        limit = int(CGROUP_MEMORY_MAX.read_text()) - int(CGROUP_MEMORY_CURRENT.read_text())
    except (OSError, ValueError):  # no container, or no limit
        return free
    return min(free, limit)


def retain_freed_memory() -> None:
    """Lets glibc retain large freed blocks and reuse them, instead of requesting new pages from Linux.

    A step allocates the same blocks as the step before it; new pages, which Linux fills with zeros, took a fifth of a
    step of the embedded network. Without glibc nothing changes. See mallopt(3).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        if not mallopt(M_MMAP_THRESHOLD, MAX_RETAINED_BLOCK):
            mallopt(M_MMAP_THRESHOLD, MAX_RETAINED_BLOCK_OLD_GLIBC)
        mallopt(M_TRIM_THRESHOLD, MAX_RETAINED_BLOCK)


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether an error of torch, OpenCV, numpy or Python itself means that memory ran out."""
    return isinstance(error, MemoryError) or bool(_OUT_OF_MEMORY.search(str(error)))

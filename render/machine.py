"""What the machine is and how it is used: the device, the precision of the network, and repeatable arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import psutil
import torch

from render.errors import MissingError, UsageError, did_you_mean

CGROUP_LIMIT, CGROUP_USED = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
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


def choose(device: str = "auto", precision: str = "auto") -> Machine:
    """The machine by the names of the command line.

    `auto` takes the GPU where there is one, and bfloat16 where that GPU computes in it, else float32. Also makes
    convolutions repeatable, so that the same scene gives the same bytes. Raises UsageError for an unknown name,
    MissingError when this machine has no such device.
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
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    if precision == "auto":
        precision = "bfloat16" if device == "cuda" and torch.cuda.is_bf16_supported(False) else "float32"
    return Machine(torch.device(device), precision)

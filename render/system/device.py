"""The device that computes, the precision of the network, the number of threads, and repeatable arithmetic.

torch and OpenCV are imported when a device is selected: a plan is made without them.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from render import OPENMP_SPINS
from render.choices import DEVICES, MAX_RECORDED_THREADS, PRECISIONS
from render.errors import MissingError, UsageError
from render.system.memory import retain_freed_memory
from render.system.openmp import sleep_while_waiting
from render.text import did_you_mean, quote

if TYPE_CHECKING:
    import torch

CGROUP_CPU = Path("/sys/fs/cgroup/cpu.max")
RESERVED_FRACTION = 1 / 16
"""Fraction of many cores reserved for other work beside the dream; ffmpeg takes 2 to 4 % of a film's time on two."""
MAX_DREAM_THREADS = 32
"""The layers of a picture are too small to be divided among more threads."""
MAX_FLOW_THREADS = 4
LIMITS = (
    "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ONEDNN_CPU_ISA_HINTS", "DNNL_CPU_ISA_HINTS",
    "ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR",
    "MKL_DEBUG_CPU_TYPE", "OPENCV_CPU_DISABLE", "OPENCV_IPP", "NPY_DISABLE_CPU_FEATURES", "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "CUBLAS_WORKSPACE_CONFIG",
)  # fmt: skip
"""Environment variables that limit the instructions and the precision of oneDNN, MKL, OpenCV, numpy and CUDA, which do
not report what they have chosen; with the processor's features they decide it."""


@dataclass(frozen=True)
class Device:
    """A device, and the number format in which the network runs on it; everything else is float32."""

    torch_device: torch.device
    precision: str

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the network."""
        return torch_dtype(self.precision)

    def describe(self) -> dict[str, Any]:
        """Returns what the bytes of a picture depend on, of this machine, in plain JSON."""
        import cv2
        import torch

        is_gpu = self.torch_device.type == "cuda"
        return {
            "device": torch.cuda.get_device_name(self.torch_device) if is_gpu else self.torch_device.type,
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "features": _cpu_features(),
            "limits": {name: os.environ[name] for name in LIMITS if os.environ.get(name)},
            "matmul": torch.get_float32_matmul_precision(),
            "precision": self.precision,
            "threads": torch.get_num_threads(),
            "flow_threads": cv2.getNumThreads(),
        }


def _cpu_features() -> str:
    """Returns the instruction sets of the processor by which libraries choose, `avx avx2 fma3`."""
    import torch

    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return " ".join(sorted(name for name, value in capabilities.items() if value is True))


def available_cores() -> int:
    """Returns the number of cores that this process may use: the machine's, or the limit of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = CGROUP_CPU.read_text().split()
        return max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no container, or no limit
        return cores


def thread_counts(cores: int) -> tuple[int, int]:
    """Returns the numbers of threads for the dream and, at the same time, for optical flow."""
    dream_threads = min(cores - int(cores * RESERVED_FRACTION), MAX_DREAM_THREADS)
    return dream_threads, min(cores, MAX_FLOW_THREADS)


def set_thread_counts(dream_threads: object = None, flow_threads: object = None) -> None:
    """Sets the numbers of threads of torch and OpenCV, unless OMP_NUM_THREADS sets that of torch.

    The bytes of a film depend on them, so those that its metadata records (of any type) are used again if valid.
    """
    import cv2
    import torch

    default_dream_threads, default_flow_threads = thread_counts(available_cores())
    if _is_thread_count(dream_threads):
        torch.set_num_threads(dream_threads)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(torch.get_num_threads(), default_dream_threads))
    cv2.setNumThreads(flow_threads if _is_thread_count(flow_threads) else default_flow_threads)


def check_names(device: str, precision: str) -> None:
    """Raises UsageError for the name of a device or precision that does not exist."""
    if device not in DEVICES:
        raise UsageError(f"unknown device {quote(device)}{did_you_mean(str(device), DEVICES)}")
    if precision not in ("auto", *PRECISIONS):
        raise UsageError(f"unknown precision {quote(precision)}{did_you_mean(str(precision), ('auto', *PRECISIONS))}")


def torch_dtype(precision: str) -> torch.dtype:
    """Returns torch's number format of a precision."""
    import torch

    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]


def has_only_cpu() -> bool:
    """Returns whether this machine certainly has no other device, found out without torch, which takes seconds."""
    drivers = [*Path("/dev").glob("nvidia[0-9]*"), *Path("/dev").glob("dxg"), *Path("/dev").glob("kfd")]
    return sys.platform == "linux" and not drivers


def select_device(
    device: str = "auto", precision: str = "auto", *, dream_threads: object = None, flow_threads: object = None
) -> Device:
    """Returns the device and precision that the command line names, and prepares this process for them.

    `auto` selects the GPU if there is one, and bfloat16 if that GPU computes in it, else float32. Sets the numbers of
    threads (`dream_threads` and `flow_threads` are those that a film was made with), retains freed memory, and makes
    convolutions deterministic, so that the same scene gives the same bytes. Raises UsageError for an unknown name,
    MissingError when this machine does not have the device.
    """
    check_names(device, precision)
    import torch

    if OPENMP_SPINS:
        sleep_while_waiting()

    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        device = next(name for name in ("cuda", "mps", "cpu") if available[name])
    if not available[device]:
        raise MissingError(f"torch finds no {device} device on this machine; --device auto selects an available one")
    set_thread_counts(dream_threads, flow_threads)
    retain_freed_memory()
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    if precision == "auto":
        precision = "bfloat16" if device == "cuda" and torch.cuda.is_bf16_supported(False) else "float32"
    return Device(torch.device(device), precision)


def _is_thread_count(value: object) -> TypeGuard[int]:
    """Returns whether a recorded value is a valid number of threads."""
    return type(value) is int and 1 <= value <= MAX_RECORDED_THREADS

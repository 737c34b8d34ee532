"""OpenMP: threads that wait for others sleep, instead of spinning.

Beside any other busy program a spinning thread holds the core that the one it waits for needs, and a frame takes up to
twenty times as long. `import render` sets OMP_WAIT_POLICY for an OpenMP that is loaded later. One that is loaded
already, because torch was imported before, has read it.
"""

from __future__ import annotations

import ctypes
import os
import threading
from functools import cache
from pathlib import Path

MAPPED_FILES = Path("/proc/self/maps")
LIBRARIES = ("libgomp", "libiomp5", "libomp")
"""OpenMP of GNU, Intel and LLVM."""


def sleep_while_waiting() -> None:
    """Makes the threads of the OpenMP libraries in this process sleep while they wait. Results do not change.

    Intel's and LLVM's libraries have a function for it, which acts on the calling thread and those that it starts.
    GNU's (libgomp, config/linux/wait.h) spins for a thousandth of the usual time as soon as there are more threads than
    cores, so a thread of ours holds as many, asleep, as long as the process lives. Where the system does not list the
    files of a process, nothing changes.
    """
    for library in _loaded_libraries():
        openmp = ctypes.CDLL(library)
        if hasattr(openmp, "kmp_set_blocktime"):
            openmp.kmp_set_blocktime(0)
        elif hasattr(openmp, "GOMP_parallel"):
            _oversubscribe(library)


def _loaded_libraries() -> set[str]:
    try:
        lines = MAPPED_FILES.read_text(errors="replace").splitlines()
    except OSError:
        return set()
    paths = {line.split(maxsplit=5)[-1] for line in lines if "omp" in line}
    return {path for path in paths if Path(path).name.startswith(LIBRARIES)}


@cache
def _oversubscribe(library: str) -> None:
    have_started = threading.Event()
    threading.Thread(target=_hold_threads, args=(ctypes.CDLL(library), have_started), daemon=True).start()
    have_started.wait()


def _hold_threads(openmp: ctypes.CDLL, have_started: threading.Event) -> None:
    """Starts one thread more than there are cores. They end with the calling thread: never."""
    count = len(os.sched_getaffinity(0)) + 1
    do_nothing = ctypes.cast(ctypes.CDLL(None).sched_yield, ctypes.c_void_p)
    openmp.GOMP_parallel(do_nothing, None, ctypes.c_uint(count), ctypes.c_uint(0))
    have_started.set()
    threading.Event().wait()

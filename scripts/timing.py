"""Wall-clock time: of a call, of several calls interleaved, and of the parts of a frame."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch

from render.dream.tiled import TiledNetwork
from render.motion.propagate import FootagePropagator, StillPropagator
from render.pipeline import build, loop
from render.system.workers import BackgroundWriter

REPEATS = 5

Run = Callable[[], object]


def synchronize() -> None:
    """Waits until a GPU has finished its work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds(run: Run) -> float:
    """Returns the seconds that a call takes."""
    synchronize()
    start = time.perf_counter()
    run()
    synchronize()
    return time.perf_counter() - start


def median_seconds(runs: Mapping[str, Run], repeats: int = REPEATS) -> dict[str, float]:
    """Returns the median seconds of each call. The calls are interleaved, after one warm-up call of each."""
    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            times[name].append(seconds(run))
    return {name: statistics.median(values) for name, values in times.items()}


class FrameTimer:
    """Seconds spent in each part of the frames that are rendered inside `measuring()`, accumulated in `spent`."""

    def __init__(self) -> None:
        self.spent: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Replaces the functions that the parts of a frame consist of by timed ones."""
        parts: list[tuple[str, Any, str]] = [
            ("network", TiledNetwork, "gradients"),
            ("propagate", StillPropagator, "propagate"),
            ("propagate", FootagePropagator, "propagate"),
            ("interpolate", StillPropagator, "interpolate"),
            ("interpolate", FootagePropagator, "interpolate"),
            ("grade", loop, "grade"),
            ("encode", BackgroundWriter, "put"),  # the rest of encoding runs in another thread
        ]
        conditioner, intervals = build.conditioner, FootagePropagator.intervals
        with ExitStack() as stack:
            for label, owner, name in parts:
                stack.enter_context(patch.object(owner, name, self._timed(label, getattr(owner, name))))
            timed_conditioner = patch.object(
                build, "conditioner", lambda gradient: self._timed("conditioning", conditioner(gradient))
            )
            stack.enter_context(timed_conditioner)
            stack.enter_context(patch.object(FootagePropagator, "intervals", self._waiting(intervals)))
            yield

    def _timed(self, label: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            synchronize()
            start = time.perf_counter()
            result = function(*arguments, **options)
            synchronize()
            self.spent[label] += time.perf_counter() - start
            return result

        return run

    def _waiting(self, generator_function: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
        """Counts the time until each item of a generator as `wait`."""

        def run(*arguments: Any) -> Iterator[Any]:
            items = generator_function(*arguments)
            receive = self._timed("wait", lambda: next(items, StopIteration))
            try:
                while (item := receive()) is not StopIteration:
                    yield item
            finally:
                items.close()

        return run

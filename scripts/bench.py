"""Where the time of a frame of configs/zoom.yaml goes: the whole way, encoder and checkpoints included."""

from __future__ import annotations

import platform
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch

from render import load, loop, render
from render.dream import ascent
from render.film import encoder
from render.film.checkpoint import Checkpoint
from render.film.encoder import Segment
from render.production import Progress

FRAMES = 100
WARM_UP = 4
"""Frames left out: the first is dreamed longer, and the allocator and the kernels settle."""

spent: defaultdict[str, float] = defaultdict(float)


def timed(label: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, its time added to what the label has spent; on a GPU, after the device has caught up."""

    def run(*arguments: Any, **options: Any) -> Any:
        begun = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            spent[label] += time.perf_counter() - begun

    return run


def main() -> None:
    """Renders and prints the table."""
    frames = int(sys.argv[1]) if len(sys.argv) > 1 else FRAMES
    with tempfile.TemporaryDirectory() as folder:
        film = f'"{folder}/bench.mp4"'
        scene = load("configs/zoom.yaml", [("--set", "duration", str(frames)), ("--set", "output.path", film)])
        conditioner = loop.conditioner
        ascent._gradients = timed("network", ascent._gradients)
        loop.conditioner = lambda gradient: timed("conditioning", conditioner(gradient))
        for label, name in (("camera", "move"), ("grade", "grade")):
            setattr(loop, name, timed(label, getattr(loop, name)))
        of_files: list[tuple[str, Any, str]] = [
            ("encode", Segment, "write"),
            ("encode", Segment, "finish"),
            ("encode", encoder, "join"),
            ("checkpoint", Checkpoint, "keep"),
        ]
        for label, holder, name in of_files:
            setattr(holder, name, timed(label, getattr(holder, name)))
        frame_times, begun = [], time.perf_counter()

        def watch(progress: Progress) -> None:
            nonlocal begun
            now = time.perf_counter()
            if progress.index < WARM_UP:
                spent.clear()
            else:
                frame_times.append(now - begun)
            begun = now

        render(scene, watch=watch)
        total = sum(frame_times) + time.perf_counter() - begun  # what follows the last frame counts as well
    _print_table(f"configs/zoom.yaml at {scene.size}, {frames} frames", frame_times, total)


def _print_table(title: str, frame_times: list[float], total: float) -> None:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()
    print(f"{title}; {device}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"median frame {1000 * statistics.median(frame_times):.0f} ms; mean {1000 * total / len(frame_times):.0f} ms")
    for label, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        print(f"  {label:<14}{1000 * seconds / len(frame_times):8.1f} ms {seconds / total:7.1%}")
    rest = total - sum(spent.values())
    print(f"  {'the rest':<14}{1000 * rest / len(frame_times):8.1f} ms {rest / total:7.1%}")


if __name__ == "__main__":
    main()

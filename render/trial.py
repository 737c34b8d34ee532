"""Which precision a network runs faster in, on this machine: tried once, and remembered for the films to come."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from render import __version__
from render.dream.anatomy import anatomy
from render.dream.ascent import dream
from render.dream.networks import Network
from render.errors import StorageError
from render.film.files import write
from render.machine import PRECISIONS, Machine
from render.scene.model import Scene
from render.wishes import ascent, objective, wishes

FASTER = 1.1
"""So many times as fast as float32 the other has to be; nearer, the more exact one is taken."""
HOPELESS = 4.0
"""So many times as slow, in its first step, it is not tried any further; some machines only emulate it."""
REPEATS = 5
LONGEST = 384
"""Pixels of the longer side of the picture that is tried, where a network sees any size."""


def fastest(scene: Scene, chosen: Machine, load: Callable[[Machine], Network]) -> str:
    """The precision in which a step of the scene's dream takes less time. `load` gives its network for a machine."""
    key = _key(scene, chosen)
    known = _remembered()
    if known.get(key) not in PRECISIONS:
        known[key] = _tried(scene, chosen, load)
        with contextlib.suppress(StorageError, OSError, RuntimeError):  # no home, or not ours: tried again next time
            _file().parent.mkdir(parents=True, exist_ok=True)
            write(_file(), json.dumps(known, indent=1, sort_keys=True).encode())
    return known[key]


def _tried(scene: Scene, chosen: Machine, load: Callable[[Machine], Network]) -> str:
    exact, other = (_step(scene, load(replace(chosen, precision=name))) for name in ("float32", "bfloat16"))
    if exact() * HOPELESS < other():
        return "float32"
    times = [(exact(), other()) for _ in range(REPEATS)]
    return "bfloat16" if min(b for _, b in times) * FASTER < min(a for a, _ in times) else "float32"


def _step(scene: Scene, network: Network) -> Callable[[], float]:
    """A step of the scene's dream, that tells how many seconds it took."""
    now = scene.at(0)
    asked = objective(wishes(scene, network), now)
    how = replace(ascent(scene, now), steps=(1,))
    width, height = _size(scene)
    picture = torch.full((1, 3, height, width), 0.5, device=network.device)

    def timed() -> float:
        begun = time.perf_counter()
        dream(picture, network, asked, how, (0, 0))
        return time.perf_counter() - begun

    return timed


def _size(scene: Scene) -> tuple[int, int]:
    """(width, height) of the picture that is tried."""
    assert scene.size is not None, "a complete scene knows its size"
    if anatomy(scene.network.name, scene.network.training).side is not None:
        return scene.size
    scale = min(1.0, LONGEST / max(scene.size))
    return round(scene.size[0] * scale), round(scene.size[1] * scale)


def _key(scene: Scene, chosen: Machine) -> str:
    """All that the answer depends on."""
    layers = sorted({layer.layer or "logits" for layer in scene.layers})
    machine = [platform.machine(), torch.backends.cpu.get_cpu_capability(), str(torch.get_num_threads())]
    size = "x".join(map(str, _size(scene)))
    return " ".join(
        [
            scene.network.name,
            *layers,
            size,
            chosen.device.type,
            *machine,
            platform.node(),
            torch.__version__,
            __version__,
        ]
    )


def _remembered() -> dict[str, str]:
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError):
        return {}
    return found if isinstance(found, dict) else {}


def _file() -> Path:
    """In the user's cache (XDG Base Directory Specification)."""
    folder = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(folder) / "render" / "precision.json"

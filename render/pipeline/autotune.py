"""The precision trial: which number format a network runs faster in on this machine, measured once and remembered."""

from __future__ import annotations

import contextlib
import json
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from render import __version__
from render.choices import PRECISIONS
from render.dream.ascent import dream
from render.dream.tiled import TiledNetwork
from render.errors import StorageError
from render.film.atomic import atomic_write
from render.models.network import Network
from render.models.registry import layer_map
from render.pipeline.build import ascent_settings, build_objectives, frame_objective
from render.pipeline.catalogue import requested_layers
from render.pipeline.plan import Plan
from render.pipeline.scene import Scene
from render.system.cache import cache_folder
from render.system.files import open_regular

MIN_SPEEDUP = 1.1
"""Factor by which bfloat16 has to be faster than float32; within it, the more exact one is used."""
MAX_SLOWDOWN = 4.0
"""Factor by which bfloat16's first step may be slower before the trial ends; some machines only emulate it."""
REPEATS = 5
MAX_TRIAL_SIDE = 384
"""Pixels of the longer side of the trial picture, where a network sees any size."""


def fastest_precision(plan: Plan, load: Callable[[str], Network]) -> str:
    """The precision in which a step of the plan's dream takes less time; `load` loads its network in a precision.

    The answer is remembered in the user's cache folder for the same network, layers, size, machine and versions.
    """
    key = _key(plan)
    remembered = _remembered()
    if remembered.get(key) not in PRECISIONS:
        remembered[key] = _measure(plan.scene, load)
        with contextlib.suppress(StorageError, OSError):  # a cache that cannot be written: measured again next time
            _file().parent.mkdir(parents=True, exist_ok=True)
            atomic_write(_file(), json.dumps(remembered, indent=1, sort_keys=True).encode())
    return remembered[key]


def _measure(scene: Scene, load: Callable[[str], Network]) -> str:
    exact, fast = (_step(scene, load(name)) for name in ("float32", "bfloat16"))
    if exact() * MAX_SLOWDOWN < fast():
        return "float32"
    times = [(exact(), fast()) for _ in range(REPEATS)]
    exact_time, fast_time = (min(column) for column in zip(*times, strict=True))
    return "bfloat16" if fast_time * MIN_SPEEDUP < exact_time else "float32"


def _step(scene: Scene, network: Network) -> Callable[[], float]:
    """Returns a function that takes one step of the scene's dream and returns its seconds."""
    params = scene.params(0)
    settings = replace(ascent_settings(scene.spec, params), steps=(1,))
    tiled = TiledNetwork(network, tile_size=None)
    width, height = _trial_size(scene)
    picture = torch.full((1, 3, height, width), 0.5, device=network.device)
    objective = frame_objective(build_objectives(scene, network), params, source=lambda: picture)

    def timed() -> float:
        start = time.perf_counter()
        dream(picture, tiled, objective=objective, settings=settings, seed=(0, 0))
        return time.perf_counter() - start

    return timed


def _trial_size(scene: Scene) -> tuple[int, int]:
    """(width, height) of the trial picture."""
    network, (width, height) = scene.spec.network, scene.size
    if layer_map(network.name, network.weights).input_side is not None:
        return scene.size
    scale = min(1.0, MAX_TRIAL_SIDE / max(scene.size))
    return round(width * scale), round(height * scale)


def _key(plan: Plan) -> str:
    """Everything that the answer depends on."""
    scene = plan.scene
    layers = sorted(requested_layers(scene.spec))
    size = "x".join(map(str, _trial_size(scene)))
    machine = [platform.machine(), torch.backends.cpu.get_cpu_capability(), str(torch.get_num_threads())]
    device = plan.device.torch_device.type
    parts = [scene.spec.network.name, *layers, size, device, *machine, platform.node(), torch.__version__, __version__]
    return " ".join(parts)


def _remembered() -> dict[str, str]:
    try:
        with open_regular(_file()) as file:
            remembered = json.loads(file.read())
    except (OSError, ValueError):
        return {}
    return remembered if isinstance(remembered, dict) else {}


def _file() -> Path:
    """The file in the user's cache folder. Raises OSError when the user has no home to hold one."""
    return cache_folder() / "precision.json"

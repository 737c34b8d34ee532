"""What runs a plan: its network on its device, in the faster precision, with the tile size as it is at the moment."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from render.choices import MIN_TILE_SIZE
from render.dream import tiles
from render.dream.tiled import TiledNetwork
from render.models.network import Network, load_network
from render.models.registry import model_spec
from render.pipeline.autotune import fastest_precision
from render.pipeline.catalogue import requested_layers
from render.pipeline.memo import Memo
from render.pipeline.plan import Plan
from render.pipeline.sources import file_identities
from render.system.device import Device
from render.system.memory import free_memory

MAX_CPU_MEMORY = 4 * 2**30
"""Bytes; on a CPU, tiles are as fast as what takes more memory (3840x2160: 45 and 43 s)."""


@dataclass(frozen=True)
class Engine:
    """A plan, the device with the precision that was chosen, and the network, whose tile size may shrink in the run.

    `memo` keeps what several engines have in common: features of pictures, and optical flow.
    """

    plan: Plan
    device: Device
    network: TiledNetwork
    memo: Memo = field(default_factory=Memo)

    def describe(self) -> dict[str, Any]:
        """Returns what the film's bytes depend on, of this machine and of its decisions, in plain JSON."""
        return {**self.device.describe(), "tile": self.network.tile_size}


def open_engine(plan: Plan, *, autotune: bool = True) -> Engine:
    """Loads the network of a plan, and decides what needs it: the precision (tried, unless not `autotune`) and tiles.

    Weights that are missing are downloaded. Raises MissingError when they cannot be, StorageError when they do not fit.
    """
    device, precision = plan.device, plan.precision
    if precision is None and autotune:
        precision = fastest_precision(plan, lambda name: _load(plan, replace(device, precision=name)))
    if precision is not None:
        device = replace(device, precision=precision)
    network = _load(plan, device)
    return Engine(plan, device, TiledNetwork(network, tile_size=_tile_size(plan, network)))


def gradient_bytes(engine: Engine) -> float:
    """Bytes that a gradient takes with the current tile size; 0 when the picture cannot be tiled."""
    network, layers = engine.network.network, requested_layers(engine.plan.scene.spec)
    if not tiles.is_tileable([network.layers[name] for name in layers]):
        return 0
    width, height = (min(side, engine.network.tile_size or side) for side in engine.plan.scene.size)
    return network.bytes_per_pixel(layers) * width * height


def recorded_tile_size(record: object, default: int | None) -> int | None:
    """The tile size of a record (`{"tile": 1024}`, None for no tiles), `default` where it holds none that is valid."""
    if not isinstance(record, dict) or "tile" not in record:
        return default
    size = record["tile"]
    return size if size is None or (type(size) is int and size >= MIN_TILE_SIZE) else default


def _load(plan: Plan, device: Device) -> Network:
    spec = plan.scene.spec.network
    file = plan.scene.paths.get(("network", "weights_file"))
    file = file or model_spec(spec.name, spec.weights).weights_source.ensure(quiet=plan.options.quiet)
    identities = tuple(file_identities(file).items())
    key = _NetworkKey(
        name=spec.name,
        weights=spec.weights,
        file=file,
        identities=identities,
        device=device.torch_device,
        dtype=device.dtype,
    )
    return _load_once(key)


@dataclass(frozen=True)
class _NetworkKey:
    """What a loaded network depends on; `identities` are those of the weights' file, as of `file_identities`."""

    name: str
    weights: str | None
    file: Path
    identities: tuple[tuple[str, tuple[int, ...]], ...]
    device: torch.device
    dtype: torch.dtype


@lru_cache(maxsize=1)
def _load_once(key: _NetworkKey) -> Network:
    """The network of the film before, when it is the same: films made one after the other load it once."""
    return load_network(key.name, device=key.device, dtype=key.dtype, file=key.file, weights=key.weights)


def _tile_size(plan: Plan, network: Network) -> int | None:
    """The tile size that the scene sets; else the recorded one, whatever memory is free today; else what fits."""
    size = plan.scene.spec.dream.tile_size
    if isinstance(size, int):
        return size
    if size == "off":
        return None
    layers = requested_layers(plan.scene.spec)
    free = free_memory(network.device)
    if network.device.type == "cpu":
        free = min(free, MAX_CPU_MEMORY)
    width, height = plan.scene.size
    fitting = tiles.fitting_tile_size(
        (height, width),
        [network.layers[name] for name in layers],
        bytes_per_pixel=network.bytes_per_pixel(layers),
        free_bytes=free,
    )
    return recorded_tile_size(plan.recorded, fitting)

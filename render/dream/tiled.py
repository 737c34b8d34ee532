"""Gradients of objectives, in tiles where the picture is too large for the memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from render.choices import MIN_TILE_SIZE
from render.dream.objectives import Objective, Region
from render.dream.tiles import Size, Tile, tile_grid
from render.dream.transforms import Transform
from render.errors import MissingError
from render.models.moments import moments
from render.models.network import Network
from render.system.memory import is_out_of_memory

Gradients = tuple[list[Tensor], Tensor]
"""The gradient of each objective, 1x3xHxW float32, and the sum of the objectives, a 0-d tensor."""


class TiledNetwork:
    """A network and the tile size of the run, which is halved when memory runs out.

    Pictures with a side longer than `tile_size` pixels are computed in tiles of about that side; None computes every
    picture whole.
    """

    def __init__(self, network: Network, *, tile_size: int | None = None) -> None:
        self.network = network
        self.tile_size = tile_size

    def gradients(
        self, x: Tensor, *, objectives: Sequence[Objective], transform: Transform, seed: tuple[int, ...]
    ) -> Gradients:
        """Returns d objective / d x for each objective, and their sum.

        `x` is the transformed picture, 1x3xHxW, `seed` that of the grid of tiles. When memory runs out, the tile size
        is halved and the gradients are computed again. Raises MissingError when tiles are too small to be halved.
        """
        while True:
            try:
                return self._gradients(x, objectives=objectives, transform=transform, seed=seed)
            except (RuntimeError, MemoryError) as error:  # torch raises its own OutOfMemoryError on GPUs only
                if not is_out_of_memory(error):
                    raise
            self.halve((x.shape[2], x.shape[3]))

    def halve(self, size: Size) -> None:
        """Halves the tile size for pictures of `size`. Raises MissingError when the tiles would become too small."""
        half = min(self.tile_size or max(size), max(size)) // 2
        if half < MIN_TILE_SIZE:
            raise MissingError(
                f"not enough memory for a picture of {size[1]}x{size[0]}, even in tiles of {MIN_TILE_SIZE} pixels"
            )
        self.tile_size = half

    def _gradients(
        self, x: Tensor, *, objectives: Sequence[Objective], transform: Transform, seed: tuple[int, ...]
    ) -> Gradients:
        layers = {name: self.network.layers[name] for objective in objectives for name in objective.layers}
        size = (x.shape[2], x.shape[3])
        grid = tile_grid(size, tile_size=self.tile_size, layers=list(layers.values()), seed=seed)
        if len(grid) == 1:
            gradients, values = self._tile_gradients(x, grid[0], objectives=objectives, transform=transform, strides={})
            return gradients, _sum(values)
        strides = {name: layer.stride for name, layer in layers.items() if layer.stride is not None}
        whole = self._moments(x, grid, objectives=objectives, transform=transform, strides=strides)
        objectives = [objective.at(whole) for objective in objectives]
        gradients, values = [torch.zeros_like(x) for _ in objectives], []
        for tile in grid:
            tile_gradients, tile_values = self._tile_gradients(
                x, tile, objectives=objectives, transform=transform, strides=strides
            )
            for gradient, tile_gradient in zip(gradients, tile_gradients, strict=True):
                tile.crop(gradient).add_(tile_gradient)
            values += tile_values
        return gradients, _sum(values)

    def _moments(
        self,
        x: Tensor,
        grid: Sequence[Tile],
        *,
        objectives: Sequence[Objective],
        transform: Transform,
        strides: Mapping[str, int],
    ) -> dict[str, Tensor]:
        """Returns the moments over all tiles of the layers whose objectives need them."""
        names = _union(objective.moment_layers for objective in objectives)
        sums: dict[str, Tensor] = {}
        with torch.no_grad():
            for tile in grid if names else ():
                for name, activation in self.network.activations(tile.crop(x), names).items():
                    part, region = tile.region(activation, strides[name], transform=transform)
                    if region.fraction > 0:
                        sums[name] = sums.get(name, torch.zeros((), device=x.device)) + region.fraction * moments(part)
        return sums

    def _tile_gradients(
        self,
        x: Tensor,
        tile: Tile,
        *,
        objectives: Sequence[Objective],
        transform: Transform,
        strides: Mapping[str, int],
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Returns gradient and value of each objective at the positions of the tile, for the layers in `strides`."""
        objectives = self._given_source(tile, objectives, transform=transform, strides=strides)
        window = tile.crop(x).detach().requires_grad_(True)
        names = _union(objective.position_layers for objective in objectives)
        measured = _union(objective.moment_layers for objective in objectives)  # none in a tile: see Objective.at
        regions: dict[str, Region] = {}
        with torch.enable_grad():
            activations, whole = self.network.measure(window, names, measured)
            for name, stride in strides.items():
                activations[name], regions[name] = tile.region(activations[name], stride, transform=transform)
            values = [
                objective(activations, transform, moments=whole, regions=regions or None) for objective in objectives
            ]
        last = len(values) - 1
        gradients = [torch.autograd.grad(value, window, retain_graph=i < last)[0] for i, value in enumerate(values)]
        return gradients, [value.detach() for value in values]

    def _given_source(
        self, tile: Tile, objectives: Sequence[Objective], *, transform: Transform, strides: Mapping[str, int]
    ) -> Sequence[Objective]:
        """Returns the objectives with the features of their source in the tile, where they compare any."""
        source = next((objective.source for objective in objectives if objective.source is not None), None)
        if source is None:
            return objectives
        names = _union(objective.source_layers for objective in objectives)
        with torch.no_grad():
            features = self.network.activations(tile.crop(transform.apply(source)), names)
        for name in names & strides.keys():
            features[name], _ = tile.region(features[name], strides[name], transform=transform)
        return [objective.given(features) for objective in objectives]


def _union(names: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset[str]().union(*names)


def _sum(values: Sequence[Tensor]) -> Tensor:
    return sum(values[1:], values[0])

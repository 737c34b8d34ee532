"""Objectives: what a dream maximises. They are small values that add, subtract and scale.

0.8 * layer("blocks.10") + 0.2 * channels("blocks.4", [3, 17])
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from render.dream.moment_target import MomentTarget
from render.dream.transforms import Point, Transform
from render.models.moments import moments


class Extent(NamedTuple):
    """Positions of a layer along one axis: from `start` to `stop`, of `total` in the whole picture."""

    start: int
    stop: int
    total: int


@dataclass(frozen=True)
class Region:
    """A rectangle of a layer's positions, computed from a transformed picture."""

    rows: Extent
    columns: Extent
    transform: Transform

    @classmethod
    def whole(cls, activation: Tensor, transform: Transform) -> Region:
        """Returns the region of all positions; logits, which have no positions, count as one."""
        rows, columns = (*activation.shape[2:], 1, 1)[:2]
        return cls(Extent(0, rows, rows), Extent(0, columns, columns), transform)

    @property
    def fraction(self) -> float:
        """The fraction of all positions of the layer that are in this region."""
        rows, columns = self.rows, self.columns
        return (rows.stop - rows.start) * (columns.stop - columns.start) / (rows.total * columns.total)

    def locate(self, point: Point) -> tuple[int, int] | None:
        """Returns row and column, within the region, of a point of the untransformed picture; None if it is outside."""
        transformed = self.transform.locate(point)
        if transformed is None:
            return None
        indices = []
        for coordinate, extent in zip(reversed(transformed), (self.rows, self.columns), strict=True):
            index = min(int(coordinate * extent.total), extent.total - 1)
            if not extent.start <= index < extent.stop:
                return None
            indices.append(index - extent.start)
        return indices[0], indices[1]


Measure = Callable[[Tensor, Region], Tensor]
"""From the activation of a region of a layer (1xCxhxw, or 1xC) to the 0-d tensor that is maximised."""

MAX_PAIRS = 2**24
"""Pairs of positions, of a picture and its guide, that are compared at a time: 64 MB."""


@dataclass(frozen=True)
class MomentMeasure:
    """The distance of a layer's moments over the whole picture from a target; it is not a mean over its positions."""

    target: MomentTarget

    def __call__(self, activation: Tensor, region: Region) -> Tensor:
        return self.target.distance(moments(activation))

    def at(self, whole: Tensor) -> Measure:
        """Returns the measure of a part of a picture whose moments are `whole`.

        Its mean over the parts has the value of this measure for the whole picture, and its gradient.
        """
        whole = whole.detach().requires_grad_(True)
        with torch.enable_grad():
            value = self.target.distance(whole)
            (slope,) = torch.autograd.grad(value, whole)
        whole, value = whole.detach(), value.detach()
        return lambda activation, region: value + (slope * (moments(activation) - whole)).sum()


@dataclass(frozen=True)
class FeatureMeasure:
    """Minus the mean squared difference from the features of the source, relative to `scale`."""

    scale: float

    def __call__(self, activation: Tensor, region: Region) -> Tensor:
        """Returns 0: without a source nothing differs from it."""
        return 0.0 * mean_square(activation)

    def given(self, features: Tensor) -> Measure:
        """Returns the measure of a part of a picture whose source has these features there."""
        return lambda activation, region: mean_square(activation - features) / -self.scale


@dataclass(frozen=True)
class Term:
    """A weight times a measure of one layer's activation, and the mask of the pixels that it may change.

    `mask` is 1x1xHxW in [0, 1], None for the whole picture. `source` is the picture, 1x3xHxW, whose features a
    FeatureMeasure compares. `receptive_field` is the side, in pixels, of the part that
    a local measure depends on, None when that is the whole picture.
    """

    weight: float
    layer: str
    measure: Measure
    mask: Tensor | None = None
    source: Tensor | None = None
    receptive_field: int | None = None

    def value(self, activation: Tensor, transform: Transform, *, region: Region | None) -> Tensor:
        """Returns what the positions of a region, or all of them (None), add to the objective.

        A measure of the whole layer is a mean over positions and is weighted by their fraction; a local one is not. A
        region without positions adds 0.
        """
        if region is None:
            return self.weight * self.measure(activation, Region.whole(activation, transform))
        if region.fraction == 0:
            return _at_least_float32(activation).sum()
        fraction = 1.0 if self.receptive_field is not None else region.fraction
        return self.weight * fraction * self.measure(activation, region)

    def at(self, whole: Mapping[str, Tensor]) -> Term:
        """See Objective.at."""
        measure = self.measure
        return replace(self, measure=measure.at(whole[self.layer])) if isinstance(measure, MomentMeasure) else self

    def of_source(self, picture: Tensor) -> Term:
        """See Objective.of_source."""
        return replace(self, source=picture) if isinstance(self.measure, FeatureMeasure) else self

    def given(self, features: Mapping[str, Tensor]) -> Term:
        """See Objective.given."""
        measure = self.measure
        if self.source is None or not isinstance(measure, FeatureMeasure):
            return self
        return replace(self, measure=measure.given(features[self.layer]))


@dataclass(frozen=True)
class Objective:
    """A weighted sum of measures. Terms of weight zero are dropped and cost nothing."""

    terms: tuple[Term, ...] = ()

    @property
    def layers(self) -> frozenset[str]:
        """The layers whose activations are needed; empty for an objective without terms."""
        return frozenset(term.layer for term in self.terms)

    def __call__(
        self,
        activations: Mapping[str, Tensor],
        transform: Transform,
        *,
        moments: Mapping[str, Tensor] | None = None,
        regions: Mapping[str, Region] | None = None,
    ) -> Tensor:
        """Returns the value, a 0-d float32 tensor, from the activations of `layers` for a transformed picture.

        With `moments`, those of the `moment_layers` are known, and their activations are not needed. With `regions`,
        by layer, activations hold these positions only, and the value is their part of the whole.
        """

        values: list[Tensor] = []
        known: list[tuple[float, MomentTarget, Tensor]] = []
        for term in self.terms:
            if moments is not None and isinstance(term.measure, MomentMeasure):
                known.append((term.weight, term.measure.target, moments[term.layer]))
            else:
                region = regions[term.layer] if regions else None
                values.append(term.value(activations[term.layer], transform, region=region))
        if known:
            weights, targets, measured = zip(*known, strict=True)
            values.append(MomentTarget.joined(targets, weights).distance(torch.cat(measured, 1)))
        return sum(values[1:], values[0])

    def __add__(self, other: Objective) -> Objective:
        return Objective(self.terms + other.terms)

    def __sub__(self, other: Objective) -> Objective:
        return self + -1.0 * other

    def __mul__(self, weight: float) -> Objective:
        scaled = (replace(term, weight=weight * term.weight) for term in self.terms)
        return Objective(tuple(term for term in scaled if term.weight != 0))

    __rmul__ = __mul__

    @property
    def moment_layers(self) -> frozenset[str]:
        """The layers whose moments over the whole picture are needed."""
        return frozenset(term.layer for term in self.terms if isinstance(term.measure, MomentMeasure))

    @property
    def position_layers(self) -> frozenset[str]:
        """The layers whose activation at every position is needed."""
        return frozenset(term.layer for term in self.terms if not isinstance(term.measure, MomentMeasure))

    def at(self, whole: Mapping[str, Tensor]) -> Objective:
        """Returns the objective for parts of a picture whose moments, by layer, are `whole`."""
        return Objective(tuple(term.at(whole) for term in self.terms))

    @property
    def source(self) -> Tensor | None:
        """The picture whose features are compared, None when none are."""
        return next((term.source for term in self.terms if term.source is not None), None)

    @property
    def source_layers(self) -> frozenset[str]:
        """The layers whose features are compared with those of the source."""
        return frozenset(term.layer for term in self.terms if term.source is not None)

    @property
    def compares_source(self) -> bool:
        """Whether it needs a source."""
        return any(isinstance(term.measure, FeatureMeasure) for term in self.terms)

    def of_source(self, picture: Tensor) -> Objective:
        """Returns the objective for a dream whose source is a picture, 1x3xHxW."""
        return Objective(tuple(term.of_source(picture) for term in self.terms))

    def given(self, features: Mapping[str, Tensor]) -> Objective:
        """Returns the objective for a part of a picture whose source has these features, by layer."""
        return Objective(tuple(term.given(features) for term in self.terms))

    def masked(self, mask: Tensor) -> Objective:
        """Returns the same objective, which changes the picture only where the mask (1x1xHxW) is not black."""
        return Objective(tuple(replace(term, mask=mask) for term in self.terms))

    def coverage(self, size: tuple[int, int]) -> float:
        """Returns the fraction of a (height, width) picture that it depends on: below 1 for local measures only."""
        height, width = size
        pixels = 0
        for term in self.terms:
            side = max(size) if term.receptive_field is None else term.receptive_field
            pixels += min(side, height) * min(side, width)
        return min(1.0, pixels / (height * width))

    def by_mask(self) -> list[tuple[Tensor | None, Objective]]:
        """Returns each distinct mask with the objective of the terms that have it."""
        masks = {id(term.mask): term.mask for term in self.terms}
        return [(mask, Objective(tuple(term for term in self.terms if term.mask is mask))) for mask in masks.values()]


def layer(name: str) -> Objective:
    """Returns the mean square of a layer's activation (Mordvintsev et al. 2015)."""
    return Objective((Term(1.0, name, lambda activation, region: mean_square(activation)),))


def channels(name: str, indices: Sequence[int]) -> Objective:
    """Returns the mean square of some channels of a layer."""

    def measure(activation: Tensor, region: Region) -> Tensor:
        return mean_square(torch.stack([activation[:, index] for index in indices]))

    return Objective((Term(1.0, name, measure),))


def position(name: str, channel: int, *, point: Point, receptive_field: int | None = None) -> Objective:
    """Returns the square of one channel at one point of the untransformed picture.

    `receptive_field` is the layer's, None when it is unbounded. Zero while the point is not visible.
    """

    def measure(activation: Tensor, region: Region) -> Tensor:
        located = region.locate(point)
        if located is None:
            return 0.0 * mean_square(activation[:, channel])
        row, column = located
        return mean_square(activation[:, channel, row, column])

    return Objective((Term(1.0, name, measure, receptive_field=receptive_field),))


def named_class(name: str, index: int) -> Objective:
    """Returns the logit of a class plus the logarithm of its probability; `name` is the layer of the logits.

    The logarithm tells the class from those that resemble it, and is nearly constant once it is the most probable.
    """

    def measure(activation: Tensor, region: Region) -> Tensor:
        logits = _at_least_float32(activation)
        return (logits + logits.log_softmax(1))[:, index].mean()

    return Objective((Term(1.0, name, measure),))


def guide(name: str, features: Tensor) -> Objective:
    """Returns the mean dot product with the best matching features of a guide picture.

    `features` is the guide's activation of the layer. At every position, the best match is that of the largest dot
    product (Mordvintsev et al. 2015, `objective_guide`).
    """
    guide_features = _at_least_float32(_features_by_position(features))
    chunk = max(1, MAX_PAIRS // guide_features.shape[1])

    def measure(activation: Tensor, region: Region) -> Tensor:
        picture_features = _at_least_float32(_features_by_position(activation))
        with torch.no_grad():
            chunks = torch.split(picture_features, chunk, dim=1)
            best = torch.cat([(each.T @ guide_features).argmax(1) for each in chunks])
        return (picture_features * guide_features[:, best]).mean()

    return Objective((Term(1.0, name, measure),))


def content(name: str, *, scale: float) -> Objective:
    """Returns minus the distance of a layer's features from those of the source, in units of `scale`, a mean square."""
    return Objective((Term(1.0, name, FeatureMeasure(scale)),))


def mean_square(activation: Tensor) -> Tensor:
    """Returns the mean square, in float32 or better whatever the network's dtype."""
    return _at_least_float32(activation).square().mean()


def _features_by_position(activation: Tensor) -> Tensor:
    """Returns CxN, one feature for each position; logits have one position."""
    return activation.flatten(2)[0] if activation.dim() > 2 else activation.T


def _at_least_float32(x: Tensor) -> Tensor:
    """Returns `x` in a dtype no narrower than float32, whose sums do not overflow."""
    return x.to(torch.promote_types(x.dtype, torch.float32))

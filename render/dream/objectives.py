"""What a dream is asked for more of: small values that add, subtract and scale.

0.8 * layer("blocks.10") + 0.2 * channels("blocks.4", [3, 17])
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from render.dream.views import Place, View

Extent = tuple[int, int, int]
"""Of places along an axis: the first, one after the last, and how many there are in the whole picture."""


@dataclass(frozen=True)
class Part:
    """Places of a layer, `rows` and `columns` of those that it has in a `view` of the picture."""

    rows: Extent
    columns: Extent
    view: View

    @classmethod
    def whole(cls, activation: Tensor, view: View) -> Part:
        """All of them; of logits, which have no places, one."""
        rows, columns = (*activation.shape[2:], 1, 1)[:2]
        return cls((0, rows, rows), (0, columns, columns), view)

    @property
    def share(self) -> float:
        """How many of all places these are."""
        (top, bottom, rows), (left, right, columns) = self.rows, self.columns
        return (bottom - top) * (right - left) / (rows * columns)

    def locate(self, place: Place) -> tuple[int, int] | None:
        """The row and the column, among these, that see a place of the picture; None when none of them does."""
        seen = self.view.locate(place)
        if seen is None:
            return None
        found = []
        for at, (first, last, count) in zip(reversed(seen), (self.rows, self.columns), strict=True):
            index = min(int(at * count), count - 1)
            if not first <= index < last:
                return None
            found.append(index - first)
        return found[0], found[1]


Measure = Callable[[Tensor, Part], Tensor]
"""From a layer's activation (1xCxhxw, or 1xC) of a part of the picture to how much of what is wanted there is."""

COMPARED = 2**24
"""So many pairs of places, of a picture and its guide, are compared at a time: 64 MB."""


@dataclass(frozen=True)
class Term:
    """A weight times a measure of one layer's activation, and where in the picture it may change something.

    `mask` is 1x1xHxW in [0, 1], None for everywhere. `reach` is the side, in pixels, of what a local measure depends
    on, None when that is the whole picture.
    """

    weight: float
    layer: str
    measure: Measure
    mask: Tensor | None = None
    reach: int | None = None

    def value(self, activation: Tensor, part: Part | None, view: View) -> Tensor:
        """What the places of a part, or all of them, add to the objective; a local measure is no mean of places."""
        if part is None:
            return self.weight * self.measure(activation, Part.whole(activation, view))
        share = 1.0 if self.reach is not None else part.share
        return self.weight * share * self.measure(activation, part)


@dataclass(frozen=True)
class Objective:
    """A weighted sum of measures. Terms of weight zero are dropped and cost nothing."""

    terms: tuple[Term, ...] = ()

    @property
    def layers(self) -> frozenset[str]:
        """The layers whose activations are needed; empty when there is nothing to ask for."""
        return frozenset(term.layer for term in self.terms)

    def __call__(
        self, activations: Mapping[str, Tensor], view: View, parts: Mapping[str, Part] | None = None
    ) -> Tensor:
        """The scalar float32 value, given the activation of every layer in `layers` for a view of the picture.

        Of `parts`, by layer, it is what they add to the value of the whole.
        """
        first, *rest = (
            term.value(activations[term.layer], parts[term.layer] if parts else None, view) for term in self.terms
        )
        return sum(rest, first)

    def __add__(self, other: Objective) -> Objective:
        return Objective(self.terms + other.terms)

    def __sub__(self, other: Objective) -> Objective:
        return self + -1.0 * other

    def __mul__(self, weight: float) -> Objective:
        scaled = (replace(term, weight=weight * term.weight) for term in self.terms)
        return Objective(tuple(term for term in scaled if term.weight != 0))

    __rmul__ = __mul__

    def within(self, mask: Tensor) -> Objective:
        """The same, but changing the picture only where the mask (1x1xHxW) is not black."""
        return Objective(tuple(replace(term, mask=mask) for term in self.terms))

    def share(self, size: tuple[int, int]) -> float:
        """How much of a picture of (height, width) it depends on: 1, or less when it asks for neurons only."""
        sides = [
            size if term.reach is None else (min(term.reach, size[0]), min(term.reach, size[1])) for term in self.terms
        ]
        return min(1.0, sum(height * width for height, width in sides) / (size[0] * size[1]))

    def by_mask(self) -> list[tuple[Tensor | None, Objective]]:
        """The parts that share a mask, with it."""
        masks = {id(term.mask): term.mask for term in self.terms}
        return [(mask, Objective(tuple(term for term in self.terms if term.mask is mask))) for mask in masks.values()]


def layer(name: str) -> Objective:
    """More of whatever the layer sees (Mordvintsev et al. 2015)."""
    return Objective((Term(1.0, name, lambda activation, part: mean_square(activation)),))


def channels(name: str, indices: Sequence[int]) -> Objective:
    """More of what these channels of the layer see."""

    def measure(activation: Tensor, part: Part) -> Tensor:
        return mean_square(torch.stack([activation[:, index] for index in indices]))

    return Objective((Term(1.0, name, measure),))


def neuron(name: str, channel: int, place: Place, reach: int | None = None) -> Objective:
    """More of what one channel of the layer sees at one place of the picture, wherever that is in the view.

    `reach` is the layer's receptive field, None when it is not bounded.
    """

    def measure(activation: Tensor, part: Part) -> Tensor:
        at = part.locate(place)
        if at is None:
            return 0.0 * mean_square(activation[:, channel])
        row, column = at
        return mean_square(activation[:, channel, row, column])

    return Objective((Term(1.0, name, measure, reach=reach),))


def logit(name: str, index: int) -> Objective:
    """A higher score for a class; `name` is the layer of the scores."""
    return Objective((Term(1.0, name, lambda activation, part: _widened(activation[:, index]).mean()),))


def guide(name: str, features: Tensor) -> Objective:
    """More of what is in another picture, whose activation of the layer is `features`.

    At every place the feature of the guide that matches best (the largest dot product) is asked for (Mordvintsev et al.
    2015, `objective_guide`).
    """
    wanted = _widened(_places(features))
    rows = max(1, COMPARED // wanted.shape[1])

    def measure(activation: Tensor, part: Part) -> Tensor:
        found = _widened(_places(activation))
        with torch.no_grad():
            best = torch.cat([(some.T @ wanted).argmax(1) for some in torch.split(found, rows, dim=1)])
        return (found * wanted[:, best]).mean()

    return Objective((Term(1.0, name, measure),))


def mean_square(activation: Tensor) -> Tensor:
    """In float32 or better, whatever the network runs in."""
    return _widened(activation).square().mean()


def _places(activation: Tensor) -> Tensor:
    """CxN: a feature for each place; logits have one."""
    return activation.flatten(2)[0] if activation.dim() > 2 else activation.T


def _widened(x: Tensor) -> Tensor:
    """No narrower than float32, whose sums do not overflow."""
    return x.to(torch.promote_types(x.dtype, torch.float32))

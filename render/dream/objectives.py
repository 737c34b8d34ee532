"""What a dream is asked for more of: small values that add, subtract and scale.

0.8 * layer("blocks.10") + 0.2 * layer("blocks.4")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

Measure = Callable[[Tensor], Tensor]
"""From a layer's activation (1xCxhxw) to how much of the wanted there is in it (a scalar)."""


@dataclass(frozen=True)
class Term:
    """A weight times a measure of one layer's activation."""

    weight: float
    layer: str
    measure: Measure


@dataclass(frozen=True)
class Objective:
    """A weighted sum of measures. Terms of weight zero are dropped and cost nothing."""

    terms: tuple[Term, ...] = ()

    @property
    def layers(self) -> frozenset[str]:
        """The layers whose activations are needed; empty when there is nothing to ask for."""
        return frozenset(term.layer for term in self.terms)

    def __call__(self, activations: Mapping[str, Tensor]) -> Tensor:
        """The scalar float32 value, given the activation of every layer in `layers`."""
        first, *rest = (term.weight * term.measure(activations[term.layer]) for term in self.terms)
        return sum(rest, first)

    def __add__(self, other: Objective) -> Objective:
        return Objective(self.terms + other.terms)

    def __sub__(self, other: Objective) -> Objective:
        return self + -1.0 * other

    def __mul__(self, weight: float) -> Objective:
        scaled = (replace(term, weight=weight * term.weight) for term in self.terms)
        return Objective(tuple(term for term in scaled if term.weight != 0))

    __rmul__ = __mul__


def mean_square(activation: Tensor) -> Tensor:
    """More of whatever is there (Mordvintsev et al. 2015), in float32 whatever the network runs in."""
    return activation.float().square().mean()


def layer(name: str) -> Objective:
    """More of whatever the layer sees."""
    return Objective((Term(1.0, name, mean_square),))

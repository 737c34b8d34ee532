"""The claims of README's tables: how steady a dream that follows footage is."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from scripts import steady

Followed = tuple[steady.Bench, steady.Footage, steady.Figures]
FRAMES = 24
"""Fewer than in the tables; the figures are of the frames after the first 8."""


@pytest.fixture(scope="module")
def ours() -> Callable[[str], Followed]:
    """The bench, a clip, and the figures of ours on it."""
    bench = steady.Bench()

    @functools.cache
    def made(name: str) -> Followed:
        what = steady.footage(name, FRAMES)
        return bench, what, steady.figures(bench.followed(what, steady.ours, steady.OURS))

    return made


@pytest.mark.parametrize("name", steady.CLIPS)
def test_a_dream_that_follows_is_steady_strong_and_sharp(name: str, ours: Callable[[str], Followed]) -> None:
    bench, what, followed = ours(name)
    alone = steady.figures(bench.alone(what))
    assert followed[0] < alone[0] / 6
    assert followed[1] >= alone[1]
    assert followed[2] >= 0.9 * alone[2]


@pytest.mark.parametrize("rule", [steady.plain_blend, steady.unmasked_residual, steady.photometric_mask])
def test_a_rule_of_older_tools_with_as_many_steps_is_less_steady(
    rule: steady.Rule, ours: Callable[[str], Followed]
) -> None:
    bench, what, followed = ours("bikes")
    other = steady.figures(bench.followed(what, rule, steady.OURS))
    assert other[0] > followed[0]

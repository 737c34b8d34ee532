"""The claims of README's tables: how steady a dream that follows footage is."""

from __future__ import annotations

import pytest

from scripts import steady


@pytest.mark.parametrize("name", steady.CLIPS)
def test_a_dream_that_follows_is_steady_strong_and_sharp(name: str) -> None:
    bench, what = steady.Bench(), steady.footage(name, steady.FRAMES)
    alone = steady.figures(bench.alone(what))
    followed = steady.figures(bench.followed(what, steady.ours, steady.OURS))
    assert followed[0] < alone[0] / 6
    assert followed[1] >= alone[1]
    assert followed[2] >= 0.9 * alone[2]


@pytest.fixture(scope="module")
def bikes() -> tuple[steady.Bench, steady.Footage, steady.Figures]:
    """A clip, and the figures of ours."""
    bench, what = steady.Bench(), steady.footage("bikes", 16)
    return bench, what, steady.figures(bench.followed(what, steady.ours, steady.OURS))


@pytest.mark.parametrize("rule", [steady.plain_blend, steady.unmasked_residual, steady.photometric_mask])
def test_a_rule_of_older_tools_with_as_many_steps_is_less_steady(
    rule: steady.Rule, bikes: tuple[steady.Bench, steady.Footage, steady.Figures]
) -> None:
    bench, what, ours = bikes
    other = steady.figures(bench.followed(what, rule, steady.OURS))
    assert other[0] > ours[0]

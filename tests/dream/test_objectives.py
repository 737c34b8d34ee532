from __future__ import annotations

import pytest
import torch

from render.dream.objectives import Objective, layer

ACTIVATIONS = {"a": torch.full((1, 2, 3, 3), 2.0), "b": torch.full((1, 4, 2, 2), 3.0)}


def test_a_layer_asks_for_the_mean_square_of_its_activation() -> None:
    assert layer("a")(ACTIVATIONS) == 4


@pytest.mark.parametrize(
    ("objective", "value"),
    [
        (0.5 * layer("a") + layer("b"), 11),
        (layer("a") - layer("b"), -5),
        (layer("b") * -2, -18),
        (2 * (layer("a") + 3 * layer("b")), 62),
        (sum([layer("a"), layer("b")], Objective()), 13),
    ],
)
def test_objectives_add_subtract_and_scale(objective: Objective, value: float) -> None:
    assert objective(ACTIVATIONS) == pytest.approx(value)


def test_a_weight_of_zero_needs_no_activation() -> None:
    objective = 0 * layer("a") + layer("b")
    assert objective.layers == {"b"}
    assert (0.0 * objective).layers == frozenset()


def test_a_half_precision_activation_is_summed_in_float32() -> None:
    value = layer("a")({"a": torch.full((1, 8, 64, 64), 300.0, dtype=torch.bfloat16)})
    assert value.dtype == torch.float32
    assert value == pytest.approx(300.0**2, rel=1e-2)

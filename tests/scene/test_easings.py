"""Easings compared with the formulas on easings.net."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from render.scene.easings import EASINGS

C1, PI = 1.70158, math.pi
C2, C3, C4, C5 = C1 * 1.525, C1 + 1, 2 * PI / 3, 2 * PI / 4.5
U = np.linspace(0, 1, 101)


def out_bounce(x: float) -> float:
    n, d = 7.5625, 2.75
    if x < 1 / d:
        return n * x * x
    if x < 2 / d:
        return n * (x - 1.5 / d) ** 2 + 0.75
    if x < 2.5 / d:
        return n * (x - 2.25 / d) ** 2 + 0.9375
    return n * (x - 2.625 / d) ** 2 + 0.984375


def in_out_circ(x: float) -> float:
    return (1 - math.sqrt(1 - (2 * x) ** 2)) / 2 if x < 0.5 else (math.sqrt(1 - (-2 * x + 2) ** 2) + 1) / 2


def in_out_back(x: float) -> float:
    if x < 0.5:
        return (2 * x) ** 2 * ((C2 + 1) * 2 * x - C2) / 2
    return ((2 * x - 2) ** 2 * ((C2 + 1) * (x * 2 - 2) + C2) + 2) / 2


def in_out_elastic(x: float) -> float:
    wave = math.sin((20 * x - 11.125) * C5)
    return -(2 ** (20 * x - 10)) * wave / 2 if x < 0.5 else 2 ** (-20 * x + 10) * wave / 2 + 1


EASINGS_NET: dict[str, Callable[[float], float]] = {
    "in_sine": lambda x: 1 - math.cos(x * PI / 2),
    "out_sine": lambda x: math.sin(x * PI / 2),
    "in_out_sine": lambda x: -(math.cos(PI * x) - 1) / 2,
    "in_quad": lambda x: x * x,
    "out_quad": lambda x: 1 - (1 - x) * (1 - x),
    "in_out_quad": lambda x: 2 * x * x if x < 0.5 else 1 - (-2 * x + 2) ** 2 / 2,
    "in_cubic": lambda x: x**3,
    "out_cubic": lambda x: 1 - (1 - x) ** 3,
    "in_out_cubic": lambda x: 4 * x**3 if x < 0.5 else 1 - (-2 * x + 2) ** 3 / 2,
    "in_quart": lambda x: x**4,
    "out_quart": lambda x: 1 - (1 - x) ** 4,
    "in_out_quart": lambda x: 8 * x**4 if x < 0.5 else 1 - (-2 * x + 2) ** 4 / 2,
    "in_quint": lambda x: x**5,
    "out_quint": lambda x: 1 - (1 - x) ** 5,
    "in_out_quint": lambda x: 16 * x**5 if x < 0.5 else 1 - (-2 * x + 2) ** 5 / 2,
    "in_expo": lambda x: 2 ** (10 * x - 10),
    "out_expo": lambda x: 1 - 2 ** (-10 * x),
    "in_out_expo": lambda x: 2 ** (20 * x - 10) / 2 if x < 0.5 else (2 - 2 ** (-20 * x + 10)) / 2,
    "in_circ": lambda x: 1 - math.sqrt(1 - x * x),
    "out_circ": lambda x: math.sqrt(1 - (x - 1) ** 2),
    "in_out_circ": in_out_circ,
    "in_back": lambda x: C3 * x**3 - C1 * x * x,
    "out_back": lambda x: 1 + C3 * (x - 1) ** 3 + C1 * (x - 1) ** 2,
    "in_out_back": in_out_back,
    "in_elastic": lambda x: -(2 ** (10 * x - 10)) * math.sin((x * 10 - 10.75) * C4),
    "out_elastic": lambda x: 2 ** (-10 * x) * math.sin((x * 10 - 0.75) * C4) + 1,
    "in_out_elastic": in_out_elastic,
    "in_bounce": lambda x: 1 - out_bounce(1 - x),
    "out_bounce": out_bounce,
    "in_out_bounce": lambda x: (1 - out_bounce(1 - 2 * x)) / 2 if x < 0.5 else (1 + out_bounce(2 * x - 1)) / 2,
    "linear": lambda x: x,
    "smooth": lambda x: 3 * x**2 - 2 * x**3,
    "hold": lambda x: 0.0,
}


@pytest.mark.parametrize("name", EASINGS)
def test_every_easing_starts_at_0_ends_at_1_and_is_finite(name: str) -> None:
    values = EASINGS[name](U)
    assert (values[0], values[-1]) == (0.0, 1.0)
    assert np.isfinite(values).all()


@pytest.mark.parametrize("name", EASINGS_NET)
def test_every_easing_equals_the_formula_on_easings_net(name: str) -> None:
    inside = U[1:-1]
    assert EASINGS[name](inside) == pytest.approx([EASINGS_NET[name](u) for u in inside.tolist()], abs=1e-12)


def test_the_easings_are_those_of_easings_net_and_linear_smooth_and_hold() -> None:
    assert EASINGS.keys() == EASINGS_NET.keys()


@pytest.mark.parametrize("kind", [name.removeprefix("in_out_") for name in EASINGS if name.startswith("in_out_")])
def test_out_is_in_reversed_and_in_out_is_symmetric(kind: str) -> None:
    assert EASINGS[f"out_{kind}"](U) == pytest.approx(1 - EASINGS[f"in_{kind}"](1 - U), abs=1e-12)
    assert EASINGS[f"in_out_{kind}"](U) == pytest.approx(1 - EASINGS[f"in_out_{kind}"](1 - U), abs=1e-12)


def test_only_back_and_elastic_leave_the_range_from_0_to_1() -> None:
    leave = {name for name, ease in EASINGS.items() if ease(U).min() < -1e-12 or ease(U).max() > 1 + 1e-12}
    assert {name.rsplit("_")[-1] for name in leave} == {"back", "elastic"}
    assert len(leave) == 6

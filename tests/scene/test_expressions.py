"""Expressions: the values of arithmetic, and the position of the error in what is not arithmetic."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from render.scene import expressions
from render.scene.clock import Clock
from render.scene.field_errors import FieldError
from render.scene.tracks import ValueRange, parse_track

T = np.linspace(0, 7.3, 50)
NAMES = {"t": T, "frame": T * 24, "fps": np.asarray(24.0), "duration": np.asarray(10.0)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * t - t / 4", lambda t: 1 + 2 * t - t / 4),
        ("-2 ** 2 + 2 ** 3 ** 2", lambda t: -(2**2) + 2**9),
        ("(t - 3) // 2 + (t - 3) % 2", lambda t: (t - 3) // 2 + (t - 3) % 2),
        ("+t - -t", lambda t: 2 * t),
        ("t ** 0.5", math.sqrt),
        ("0x10 + 1e-2 + .5", lambda t: 16.51),
        ("sin(tau * t / 4) + cos(pi * t)", lambda t: math.sin(math.tau * t / 4) + math.cos(math.pi * t)),
        ("tan(t)", math.tan),
        ("exp(-t) + log(t + 1) + sqrt(t)", lambda t: math.exp(-t) + math.log(t + 1) + math.sqrt(t)),
        ("abs(t - 3) + floor(t) + ceil(t)", lambda t: abs(t - 3) + math.floor(t) + math.ceil(t)),
        ("min(t, 3) - max(t, 4)", lambda t: min(t, 3) - max(t, 4)),
        ("clamp(t, 2, 5)", lambda t: min(max(t, 2), 5)),
        ("lerp(10, 20, t)", lambda t: 10 + 10 * t),
        ("smoothstep(1, 3, t)", lambda t: (u := min(max((t - 1) / 2, 0), 1)) ** 2 * (3 - 2 * u)),
        ("frame / fps + duration", lambda t: t + 10),
        (" t + 1 ", lambda t: t + 1),
        ("(t\n + 1)", lambda t: t + 1),
    ],
)  # fmt: skip
def test_an_expression_has_the_value_of_its_arithmetic(text: str, expected: Callable[[float], float]) -> None:
    values = expressions.parse(text)(NAMES)
    assert values == pytest.approx([expected(t) for t in T.tolist()], rel=1e-12, abs=1e-12)


def test_a_constant_expression_has_a_value_at_every_frame() -> None:
    assert expressions.parse("2 * 3")(NAMES).tolist() == [6.0] * len(T)


@pytest.mark.parametrize(
    ("text", "at", "says"),
    [
        ("2 * t.real", "t.real", "consists of numbers"),
        ("2 * ().__class__", "().", "consists of numbers"),
        ("1 + 'sin'(t)", "'sin'", "consists of numbers"),
        ("sin('t')", "'t'", "consists of numbers"),
        ("1 + t[0]", "t[0]", "consists of numbers"),
        ("1 + max(*t, 1)", "*t", "consists of numbers"),
        ("1 + sin(x=t)", "sin", "consists of numbers"),
        ("0 * [x for x in t]", "[x", "consists of numbers"),
        ("(lambda: 1)() + t", "(lambda", "consists of numbers"),
        ("2 * (x := 1)", "x :=", "consists of numbers"),
        ("1 + f'{t}'", "f'", "consists of numbers"),
        ("1 + b'x'", "b'", "consists of numbers"),
        ("1 + (t and 2)", "t and", "consists of numbers"),
        ("1 + (t in 2)", "t in", "consists of numbers"),
        ("1 + (not t)", "not t", "consists of numbers"),
        ("1 + ~t", "~t", "consists of numbers"),
        ("1 + (t @ t)", "t @", "consists of numbers"),
        ("1 + True", "True", "consists of numbers"),
        ("1 + None", "None", "consists of numbers"),
        ("1 + 2j", "2j", "consists of numbers"),
        ("1 + 2.5e3J", "2.5e3J", "consists of numbers"),
        ("1 + 2b3", "2b3", "not arithmetic"),
        ("1 + sine", "sine", "'sine' is a function; write sine(…)"),
        ("1 + sine()", "sine", "sine takes 1 argument, not 0"),
        ("1 + pulse(1, 2, 3)", "pulse", "pulse takes 1 or 2 arguments, not 3"),
        ("1 + ...", "...", "consists of numbers"),
        ("1 + {t}", "{t}", "consists of numbers"),
        ("0 * __import__('os')", "__import__", "unknown function '__import__'"),
        ("0 * __import__(t)", "__import__", "unknown function '__import__'"),
        ("0 * open(t)", "open", "unknown function 'open'"),
        ("1 + sn(t)", "sn", "unknown function 'sn'; did you mean 'sin'?"),
        ("1 + sin(t, 2)", "sin", "sin takes 1 argument, not 2"),
        ("1 + clamp(t)", "clamp", "clamp takes 3 arguments, not 1"),
        ("1 + " + "9" * 400, "999", "large"),
        ("t t", "t", "not arithmetic"),
        ("import os", "import", "not arithmetic"),
        ("1; 2", "; 2", "not arithmetic"),
        ("t = 2", "", "not arithmetic"),
        ("(t", "(t", "not arithmetic"),
        ("", "", "not arithmetic"),
        ("2 × t", "×", "not arithmetic"),
        ("\0", "", "not arithmetic"),
    ],
)
def test_an_expression_that_is_not_arithmetic_is_an_error_at_the_wrong_character(text: str, at: str, says: str) -> None:
    with pytest.raises(FieldError) as caught:
        expressions.parse(text)
    assert says in str(caught.value)
    assert text[caught.value.offset :].startswith(at)


def test_a_function_without_arguments_is_not_suggested_as_its_own_correction() -> None:
    with pytest.raises(FieldError) as caught:
        expressions.parse("12/min")  # meant as a unit
    assert "did you mean 'min'" not in str(caught.value)


@pytest.mark.parametrize("text", ["9**9**9**9", "2 ** (t * 1000)", "t ** -65", "t ** (0 / (t - t))"])
def test_an_exponent_out_of_bounds_is_an_error_within_half_a_second(text: str) -> None:
    start = time.monotonic()
    with pytest.raises(FieldError, match="an exponent beyond 64") as caught:
        parse_track(text, ValueRange()).values(Clock(Fraction(24), 100))
    assert time.monotonic() - start < 0.5
    assert text[: caught.value.offset].rstrip(" (").endswith("**")


@pytest.mark.parametrize(
    "text",
    ["t+" * 5_000_000 + "t", "(" * 10_000_000, "9" * 10_000_000, "/" * 10_000_000, " " * 10_000_000, "-" * 10_000_000],
    ids=["sum", "brackets", "digits", "slashes", "blanks", "signs"],
)
def test_an_expression_of_ten_megabytes_is_an_error_within_half_a_second(text: str) -> None:
    start = time.monotonic()
    with pytest.raises(FieldError, match="at most 1000 characters"):
        parse_track(text, ValueRange(motion=True))
    assert time.monotonic() - start < 0.5


@pytest.mark.parametrize(
    "text",
    ["(" * 400 + "t" + ")" * 400, "-" * 900 + "t", "t+" * 400 + "t", "sin(" * 150 + "t" + ")" * 150, "[" * 900],
    ids=["brackets", "signs", "sum", "calls", "lists"],
)
def test_deep_nesting_is_an_error(text: str) -> None:
    with pytest.raises(FieldError, match=r"nested deeper|not arithmetic"):
        expressions.parse(text)


def test_an_expression_without_finite_values_raises_no_warning() -> None:
    assert not np.isfinite(expressions.parse("log(-1) + 1 / 0 + exp(10000) + 1e308 * 10")(NAMES)).any()

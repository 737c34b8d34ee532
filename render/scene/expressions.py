"""Arithmetic expressions of time, parsed with `ast` against a whitelist and never evaluated by Python.

1.01 + 0.005 * sin(tau * t / 4)
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from render.scene.field_errors import FieldError
from render.text import did_you_mean, quote

Values = NDArray[np.float64]
Names = Mapping[str, Values]
Evaluate = Callable[[Names], Values]

MAX_LENGTH = 1000
MAX_DEPTH = 64
MAX_EXPONENT = 64.0

NAMES = ("t", "frame", "fps", "duration")
CONSTANTS = {"pi": math.pi, "tau": math.tau}
_ALLOWED = "an expression consists of numbers, names, functions and + - * / // % **"
_WORD = re.compile(r"[\w.]+|\S")


@dataclass(frozen=True)
class Expression:
    """A parsed expression. Call it with arrays for `t` (seconds), `frame`, `fps` and `duration` (seconds).

    `size` is the number of numbers, names and signs in it.
    """

    text: str
    evaluate: Evaluate
    size: int

    def __call__(self, names: Names) -> Values:
        """Returns float64 values in the shape of `t`, which may be infinite or NaN.

        Raises FieldError for an exponent beyond MAX_EXPONENT.
        """
        with np.errstate(all="ignore"):
            return np.broadcast_to(self.evaluate(names), names["t"].shape).astype(np.float64)


def parse(text: str) -> Expression:
    """Parses a text into an expression. Raises FieldError."""
    if len(text) > MAX_LENGTH:
        raise FieldError(f"an expression has at most {MAX_LENGTH} characters; this one has {len(text)}")
    parsed = _parsed(text)
    if isinstance(parsed, FieldError):
        raise parsed.within(())
    return parsed


@lru_cache(1000)  # an alias may repeat it thousands of times
def _parsed(text: str) -> Expression | FieldError:
    if "#" in text:
        return FieldError("an expression has no comments", offset=text.index("#"))
    line = re.sub(r"\s", " ", text)
    indent = len(line) - len(line.lstrip())
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(line.strip(), mode="eval")
        return Expression(text, _compile(tree.body, 0), len(_WORD.findall(line)))
    except SyntaxError as error:
        return FieldError(f"not arithmetic: {error.msg}", offset=indent + max((error.offset or 1) - 1, 0))
    except FieldError as error:
        return FieldError(str(error), offset=indent + error.offset)
    except (ValueError, MemoryError, RecursionError):
        return FieldError("not arithmetic")


def _smoothstep(low: Values, high: Values, x: Values) -> Values:
    u = np.clip((x - low) / (high - low), 0.0, 1.0)
    return u * u * (3 - 2 * u)


class Function(NamedTuple):
    """A function of an expression: the names of its parameters, for documentation, and its implementation."""

    parameters: tuple[str, ...]
    evaluate: Callable[..., Values]


FUNCTIONS: dict[str, Function] = {
    "sin": Function(("x",), np.sin),
    "cos": Function(("x",), np.cos),
    "tan": Function(("x",), np.tan),
    "exp": Function(("x",), np.exp),
    "log": Function(("x",), np.log),
    "sqrt": Function(("x",), np.sqrt),
    "abs": Function(("x",), np.abs),
    "floor": Function(("x",), np.floor),
    "ceil": Function(("x",), np.ceil),
    "min": Function(("a", "b"), np.minimum),
    "max": Function(("a", "b"), np.maximum),
    "clamp": Function(("x", "low", "high"), lambda x, low, high: np.minimum(np.maximum(x, low), high)),
    "lerp": Function(("a", "b", "u"), lambda a, b, u: a + (b - a) * u),
    "smoothstep": Function(("low", "high", "x"), _smoothstep),
}

_BINARY: dict[type[ast.operator], Callable[[Values, Values], Values]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.mod,
}


def _compile(node: ast.expr, depth: int) -> Evaluate:
    """Compiles a node to a function of the names. Raises FieldError for every kind of node that is not arithmetic."""
    offset = node.col_offset
    if depth > MAX_DEPTH:
        raise FieldError(f"nested deeper than {MAX_DEPTH}", offset=offset)
    match node:
        case ast.Constant(value=bool() | str() | bytes() | complex()) | ast.Constant(value=None):
            raise FieldError(_ALLOWED, offset=offset)
        case ast.Constant(value=int() | float() as number):
            value = _float(number, offset)
            return lambda names: value
        case ast.Name(id=name):
            return _name(name, offset)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _compile(operand, depth + 1)
            return lambda names: -inner(names)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _compile(operand, depth + 1)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_compile(left, depth + 1), _compile(right, depth + 1), right.col_offset)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _BINARY:
            apply, a, b = _BINARY[type(operator)], _compile(left, depth + 1), _compile(right, depth + 1)
            return lambda names: apply(a(names), b(names))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return _call(name, [_compile(argument, depth + 1) for argument in arguments], offset)
    raise FieldError(_ALLOWED, offset=offset)


def _float(number: float, offset: int) -> Values:
    try:
        return np.float64(number)  # type: ignore[return-value]  # numpy treats it as a 0-d array
    except OverflowError:
        raise FieldError("a number too large for a float", offset=offset) from None


def _name(name: str, offset: int) -> Evaluate:
    if name in CONSTANTS:
        constant = _float(CONSTANTS[name], offset)
        return lambda names: constant
    if name in NAMES:
        return itemgetter(name)
    if name in FUNCTIONS:
        raise FieldError(f"'{name}' is a function; write {name}(…)", offset=offset)
    names = (*NAMES, *CONSTANTS, *FUNCTIONS)
    raise FieldError(f"unknown name {quote(name)}{did_you_mean(name, names)}", offset=offset)


def _power(base: Evaluate, exponent: Evaluate, offset: int) -> Evaluate:
    def evaluate(names: Names) -> Values:
        power = exponent(names)
        if not np.abs(power).max() <= MAX_EXPONENT:  # false for NaN
            raise FieldError(f"an exponent beyond {MAX_EXPONENT:g}", offset=offset)
        return np.power(base(names), power)

    return evaluate


def _call(name: str, arguments: list[Evaluate], offset: int) -> Evaluate:
    if name not in FUNCTIONS:
        raise FieldError(f"unknown function {quote(name)}{did_you_mean(name, FUNCTIONS)}", offset=offset)
    function = FUNCTIONS[name]
    count = len(function.parameters)
    if len(arguments) != count:
        number = "1 argument" if count == 1 else f"{count} arguments"
        raise FieldError(f"{name} takes {number}, not {len(arguments)}", offset=offset)
    return lambda names: function.evaluate(*(argument(names) for argument in arguments))

"""Arithmetic on time, safely: parsed with `ast` against a whitelist, never evaluated by Python.

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

import numpy as np
from numpy.typing import NDArray

from render.errors import did_you_mean, shown
from render.scene.faults import Fault

Values = NDArray[np.float64]
Names = Mapping[str, Values]
Evaluate = Callable[[Names], Values]

MAX_LENGTH = 1000
MAX_DEPTH = 64
MAX_EXPONENT = 64.0

NAMES = ("t", "frame", "fps", "duration")
CONSTANTS = {"pi": math.pi, "tau": math.tau}
_WORD = re.compile(r"[\w.]+|\S")


@dataclass(frozen=True)
class Expression:
    """A parsed expression. Call it with arrays for `t` (seconds), `frame`, `fps` and `duration` (seconds).

    `size` is how many numbers, names and signs it has.
    """

    text: str
    evaluate: Evaluate
    size: int

    def __call__(self, names: Names) -> Values:
        """The values, one a frame, perhaps not finite. Raises Fault when an exponent is out of bounds."""
        with np.errstate(all="ignore"):
            return np.broadcast_to(self.evaluate(names), names["t"].shape).astype(np.float64)


def parse(text: str) -> Expression:
    """The expression of a text. Raises Fault."""
    if len(text) > MAX_LENGTH:
        raise Fault(f"an expression has at most {MAX_LENGTH} characters; this one has {len(text)}")
    parsed = _parsed(text)
    if isinstance(parsed, Fault):
        raise parsed.within(())
    return parsed


@lru_cache(1000)  # an alias may repeat it thousands of times
def _parsed(text: str) -> Expression | Fault:
    if "#" in text:
        return Fault("a comment has no place in an expression", offset=text.index("#"))
    line = re.sub(r"\s", " ", text)
    indent = len(line) - len(line.lstrip())
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(line.strip(), mode="eval")
        return Expression(text, _compile(tree.body, 0), len(_WORD.findall(line)))
    except SyntaxError as error:
        return Fault(f"not arithmetic: {error.msg}", offset=indent + max((error.offset or 1) - 1, 0))
    except Fault as fault:
        return Fault(str(fault), offset=indent + fault.offset)
    except (ValueError, MemoryError, RecursionError):
        return Fault("not arithmetic")


def _smoothstep(low: Values, high: Values, x: Values) -> Values:
    u = np.clip((x - low) / (high - low), 0.0, 1.0)
    return u * u * (3 - 2 * u)


_FUNCTIONS: dict[str, tuple[int, Callable[..., Values]]] = {
    "sin": (1, np.sin),
    "cos": (1, np.cos),
    "tan": (1, np.tan),
    "exp": (1, np.exp),
    "log": (1, np.log),
    "sqrt": (1, np.sqrt),
    "abs": (1, np.abs),
    "floor": (1, np.floor),
    "ceil": (1, np.ceil),
    "min": (2, np.minimum),
    "max": (2, np.maximum),
    "clamp": (3, lambda x, low, high: np.minimum(np.maximum(x, low), high)),
    "lerp": (3, lambda a, b, u: a + (b - a) * u),
    "smoothstep": (3, _smoothstep),
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
    """A function of the names; every kind of node that is not arithmetic is refused here."""
    offset = node.col_offset
    if depth > MAX_DEPTH:
        raise Fault(f"nested deeper than {MAX_DEPTH}", offset=offset)
    match node:
        case ast.Constant(value=bool() | str() | bytes() | complex()) | ast.Constant(value=None):
            raise Fault("only numbers, names, functions and + - * / // % ** make an expression", offset=offset)
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
    raise Fault("only numbers, names, functions and + - * / // % ** make an expression", offset=offset)


def _float(number: float, offset: int) -> Values:
    try:
        return np.float64(number)  # type: ignore[return-value]  # a 0-d array in all but name
    except OverflowError:
        raise Fault("a number this large", offset=offset) from None


def _name(name: str, offset: int) -> Evaluate:
    if name in CONSTANTS:
        constant = _float(CONSTANTS[name], offset)
        return lambda names: constant
    if name in NAMES:
        return itemgetter(name)
    if name in _FUNCTIONS:
        raise Fault(f"'{name}' is a function; write {name}(…)", offset=offset)
    raise Fault(f"unknown name {shown(name)}{did_you_mean(name, (*NAMES, *CONSTANTS, *_FUNCTIONS))}", offset=offset)


def _power(base: Evaluate, exponent: Evaluate, offset: int) -> Evaluate:
    def evaluate(names: Names) -> Values:
        power = exponent(names)
        if not np.abs(power).max() <= MAX_EXPONENT:  # nor when it is not a number
            raise Fault(f"an exponent beyond {MAX_EXPONENT:g}", offset=offset)
        return np.power(base(names), power)

    return evaluate


def _call(name: str, arguments: list[Evaluate], offset: int) -> Evaluate:
    if name not in _FUNCTIONS:
        raise Fault(f"unknown function {shown(name)}{did_you_mean(name, _FUNCTIONS)}", offset=offset)
    count, function = _FUNCTIONS[name]
    if len(arguments) != count:
        raise Fault(f"{name} takes {count} argument{'s' * (count > 1)}, not {len(arguments)}", offset=offset)
    return lambda names: function(*(argument(names) for argument in arguments))

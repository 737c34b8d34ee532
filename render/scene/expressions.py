"""Arithmetic expressions of time, parsed with `ast` against a whitelist and never evaluated by Python.

1.01 + 0.005 * sin(tau * t / 4)      1 + 0.1 * hit      0.3 if t < 16b else triangle(4b)
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import pairwise
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from render.scene.field_errors import FieldError
from render.scene.functions import FUNCTIONS, Values
from render.system.quiet import ignored_warnings
from render.text import did_you_mean, quote

Names = Mapping[str, Values]
Evaluate = Callable[[Names], Values]

MAX_LENGTH = 1000
MAX_DEPTH = 64
MAX_EXPONENT = 64.0

NAMES = ("t", "frame", "fps", "duration")
BEAT_NAMES = ("beat", "bar", "bpm")
"""Names that need a tempo."""
CONSTANTS = {"pi": math.pi, "tau": math.tau}
LOOP_SECONDS, LOOP_BEATS = "loop seconds", "loop beats"
"""Names, which no expression can write, of the time after which what is random repeats; infinite without a loop."""
_ALLOWED = "an expression consists of numbers, names, functions, + - * / // % **, comparisons and a if c else b"
MIXED_PERIOD = "a period is either in seconds or in beats, 2s + 1s or 2b + 1b"
_WORD = re.compile(r"[\w.]+|\S")
_BEATS, _SECONDS = (re.compile(rf"(?<![\w.])([0-9]+\.?[0-9]*|\.[0-9]+){unit}(?!\w)") for unit in "bs")
_IMAGINARY = re.compile(r"(?<![\w.])(?:[0-9][0-9_]*\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[jJ]")


@dataclass(frozen=True)
class Expression:
    """A parsed expression. Call it with an array for each of its `names`, and with `t` (seconds).

    `references` are the names that it refers to, and beats (`4b`, a time in seconds), with their offsets in the text.
    `size` is the number of numbers, names and signs in it.
    """

    text: str
    evaluate: Evaluate
    size: int
    references: tuple[tuple[str, int], ...]

    @property
    def names(self) -> frozenset[str]:
        """What `evaluate` needs besides `t`."""
        return frozenset(name for name, _ in self.references)

    def __call__(self, names: Names) -> Values:
        """Returns float64 values in the shape of `t`, which may be infinite or NaN.

        Raises FieldError for an exponent beyond MAX_EXPONENT.
        """
        with np.errstate(all="ignore"):
            return np.broadcast_to(self.evaluate(names), names["t"].shape).astype(np.float64)


def is_known(name: str) -> bool:
    """Returns whether a name means something in every expression, and so cannot be that of a signal."""
    return name in NAMES or name in BEAT_NAMES or name in CONSTANTS or name in FUNCTIONS


def unknown_name(name: str, signals: Collection[str]) -> str:
    """Returns what is wrong with a name of which there is no signal."""
    if name == "prev":
        return "'prev' does not exist: a frame never depends on how the run got to it"
    known = (*NAMES, *BEAT_NAMES, *CONSTANTS, *FUNCTIONS, *signals)
    return f"unknown name {quote(name)}{did_you_mean(name, known, first=signals)}"


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
        if imaginary := _IMAGINARY.search(line):
            return FieldError(_ALLOWED, offset=imaginary.start())
        with ignored_warnings():
            # Of the same length: a time in seconds is its number, and a beat a literal of its own kind.
            tree = ast.parse(_BEATS.sub(r"\1j", _SECONDS.sub(r"\1 ", line)).strip(), mode="eval")
        compiler = _Compiler()
        evaluate = compiler.compile(tree.body)
        references = tuple((name, indent + offset) for name, offset in compiler.references)
        return Expression(text, evaluate, size=len(_WORD.findall(line)), references=references)
    except SyntaxError as error:
        return FieldError(f"not arithmetic: {error.msg}", offset=indent + max((error.offset or 1) - 1, 0))
    except FieldError as error:
        return FieldError(str(error), offset=indent + error.offset)
    except (ValueError, MemoryError, RecursionError):
        return FieldError("not arithmetic")


_BINARY: dict[type[ast.operator], Callable[[Values, Values], Values]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.mod,
}
Compare = Callable[[Values, Values], NDArray[np.bool_]]
_COMPARISONS: dict[type[ast.cmpop], Compare] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}


@dataclass
class _Compiler:
    """Compiles nodes of Python's syntax tree to functions of the names.

    `references` are the names and beats that were met, with their offsets. In a period, beats are numbers of beats.
    """

    references: list[tuple[str, int]] = field(default_factory=list)
    is_in_period: bool = False
    period_is_in_beats: bool = False

    def compile(self, node: ast.expr, depth: int = 0) -> Evaluate:
        """Returns a node as a function. Raises FieldError for every kind of node that is not arithmetic."""
        offset = node.col_offset
        if depth > MAX_DEPTH:
            raise FieldError(f"nested deeper than {MAX_DEPTH}", offset=offset)
        compile_inner = partial(self.compile, depth=depth + 1)
        match node:
            case ast.Constant(value=complex() as beats):
                return self._beats(beats.imag, offset)
            case ast.Constant(value=bool() | str() | bytes()) | ast.Constant(value=None):
                raise FieldError(_ALLOWED, offset=offset)
            case ast.Constant(value=int() | float() as number):
                value = _float(number, offset)
                return lambda names: value
            case ast.Name(id=name):
                return self._name(name, offset)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = compile_inner(operand)
                return lambda names: -inner(names)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return compile_inner(operand)
            case ast.BinOp(left=left, op=ast.Pow(), right=right):
                return _power(compile_inner(left), compile_inner(right), right.col_offset)
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _BINARY:
                compile_both = self._alike if isinstance(operator, ast.Add | ast.Sub) else self._each
                apply, (a, b) = _BINARY[type(operator)], compile_both([left, right], depth)
                return lambda names: apply(a(names), b(names))
            case ast.Compare(left=left, ops=operators, comparators=rights) if all(
                type(each) in _COMPARISONS for each in operators
            ):
                sides, _ = self._in_period(False, [left, *rights], depth)  # of times, whatever follows from it
                return _comparison([_COMPARISONS[type(each)] for each in operators], sides)
            case ast.IfExp(test=test, body=body, orelse=otherwise):
                condition, (a, b) = compile_inner(test), self._alike([body, otherwise], depth)
                return lambda names: np.where(condition(names) != 0, a(names), b(names))
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(name, arguments, depth, offset=offset)
        raise FieldError(_ALLOWED, offset=offset)

    def _beats(self, number: float, offset: int) -> Evaluate:
        """A number of beats: in a period that number, elsewhere the time of that beat in seconds."""
        if self.is_in_period:
            self.period_is_in_beats = True
            value = _float(number, offset)
            return lambda names: value
        return self._reference(f"{number:.15g}b", offset)

    def _name(self, name: str, offset: int) -> Evaluate:
        if name in CONSTANTS:
            constant = _float(CONSTANTS[name], offset)
            return lambda names: constant
        if name in FUNCTIONS:
            raise FieldError(f"'{name}' is a function; write {name}(…)", offset=offset)
        return self._reference(name, offset)

    def _reference(self, name: str, offset: int) -> Evaluate:
        self.references.append((name, offset))
        return itemgetter(name)

    def _call(self, name: str, nodes: list[ast.expr], depth: int, *, offset: int) -> Evaluate:
        if name not in FUNCTIONS:
            raise FieldError(f"unknown function {quote(name)}{did_you_mean(name, FUNCTIONS)}", offset=offset)
        function = FUNCTIONS[name]
        most = len(function.parameters)
        least = most - len(function.optional)
        if not least <= len(nodes) <= most:
            number = (
                f"{least} or {most} arguments" if least < most else "1 argument" if most == 1 else f"{most} arguments"
            )
            raise FieldError(f"{name} takes {number}, not {len(nodes)}", offset=offset)
        compiled: Sequence[Evaluate] = ()
        if function.is_periodic:
            compiled = self._periodic(nodes.pop(0), depth)
        compile_rest = self._alike if function.is_choice else self._each
        compiled = [*compiled, *compile_rest(nodes, depth)]
        defaults = function.optional[len(function.optional) - (most - len(nodes) - function.is_periodic) :]
        return lambda names: function.evaluate(*(argument(names) for argument in compiled), *defaults)

    def _each(self, nodes: list[ast.expr], depth: int) -> list[Evaluate]:
        return [self.compile(node, depth + 1) for node in nodes]

    def _alike(self, nodes: list[ast.expr], depth: int) -> list[Evaluate]:
        """Compiles what is added or chosen from. Raises FieldError for a period with some of it in beats."""
        compiled, units = [], []
        for node in nodes:
            (evaluate,), is_in_beats = self._in_period(self.is_in_period, [node], depth)
            compiled.append(evaluate)
            units.append(is_in_beats)
        if len(set(units)) > 1:
            raise FieldError(MIXED_PERIOD, offset=nodes[units.index(not units[0])].col_offset)
        self.period_is_in_beats |= any(units)
        return compiled

    def _in_period(self, is_in_period: bool, nodes: list[ast.expr], depth: int) -> tuple[list[Evaluate], bool]:
        """Compiles nodes as part of a period, or of none; also returns whether they are in beats."""
        outer = self.is_in_period, self.period_is_in_beats
        self.is_in_period, self.period_is_in_beats = is_in_period, False
        compiled, is_in_beats = self._each(nodes, depth), self.period_is_in_beats
        self.is_in_period, self.period_is_in_beats = outer
        return compiled, is_in_beats

    def _periodic(self, node: ast.expr, depth: int) -> tuple[Evaluate, Evaluate]:
        """From a period in seconds or in beats: the number of periods from the beginning, and that of a whole loop."""
        (period,), is_in_beats = self._in_period(True, [node], depth)
        time, loop = ("beat", LOOP_BEATS) if is_in_beats else ("t", LOOP_SECONDS)
        self.references += [(loop, node.col_offset), (time, node.col_offset)]
        return (lambda names: names[time] / period(names)), (lambda names: names[loop] / period(names))


def _float(number: float, offset: int) -> Values:
    try:
        return np.asarray(number, np.float64)
    except OverflowError:
        raise FieldError("a number too large for a float", offset=offset) from None


def _power(base: Evaluate, exponent: Evaluate, offset: int) -> Evaluate:
    def evaluate(names: Names) -> Values:
        power = exponent(names)
        if not np.abs(power).max() <= MAX_EXPONENT:  # false for NaN
            raise FieldError(f"an exponent beyond {MAX_EXPONENT:g}", offset=offset)
        return np.power(base(names), power)

    return evaluate


def _comparison(operators: Sequence[Compare], operands: Iterable[Evaluate]) -> Evaluate:
    """The values of `a < b < c`: 1 where all comparisons hold, else 0."""
    sides = tuple(operands)

    def evaluate(names: Names) -> Values:
        values = [side(names) for side in sides]
        holds = [compare(a, b) for compare, (a, b) in zip(operators, pairwise(values), strict=True)]
        return np.asarray(np.logical_and.reduce(np.broadcast_arrays(*holds))).astype(np.float64)

    return evaluate

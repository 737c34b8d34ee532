"""The language of `--vary KEY=VALUES`: lists, ranges, files and whole sections of a scene.

dream.step_size=0.005,0.01      seed=1:4      camera.zoom=1:1.04:5      source.image=photos/*.jpg
objectives=[{layer: blocks.4}],[{layer: blocks.9}]

Commas outside of brackets and quotes separate the values; each is YAML, as the value of `--set`. START:STOP are whole
numbers, START:STOP:COUNT evenly spaced numbers, both ends included and with the same unit: `1s:3s:5`.
"""

from __future__ import annotations

import glob
import os
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

from render.errors import SceneError, UsageError
from render.scene.document import key_path
from render.scene.mapping import value_text
from render.scene.structure import file_field_at
from render.scene.yaml_loader import MAX_DEPTH, SourceText
from render.sweep.model import OPTION
from render.text import Problem, quote, similar_file

WITHOUT_VALUES = ("output", "output.path")
"""Keys that a sweep sets itself."""
DRAWN_STEPS = 1000
"""Steps into which a range is divided when numbers are drawn from it, so that they have few digits."""
MAX_FILES = 100_000
"""Files that a pattern may match; more are a mistake, and take long to list."""
_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?"
_UNIT = r"(?:/s|s|%|)"
_SPAN = re.compile(rf"({_NUMBER})({_UNIT}):({_NUMBER})({_UNIT})(?::([0-9]{{1,12}}))?")
_LIKE_A_SPAN = re.compile(rf"{_NUMBER}{_UNIT}\s*:")
_MAX_NUMBER = 40
"""Characters of a number."""


@dataclass(frozen=True)
class Value:
    """A value of a key: the YAML that `--set KEY=VALUE` takes, and what a sheet calls it."""

    text: str
    label: str


@dataclass(frozen=True)
class Listed:
    """Values that are written one by one, or that a pattern of files stands for."""

    values: tuple[Value, ...]

    @property
    def count(self) -> int:
        """The number of values."""
        return len(self.values)

    def value(self, index: int) -> Value:
        """Returns a value by its index."""
        return self.values[index]

    def drawn(self, generator: random.Random) -> Value:
        """Returns one of the values."""
        return self.values[generator.randrange(len(self.values))]


@dataclass(frozen=True)
class Span:
    """Numbers from `start` to `stop`, both included: `steps` + 1 of them, evenly spaced.

    `steps` is None for a range without a count whose ends are not whole: numbers can only be drawn from it.
    """

    start: Fraction
    stop: Fraction
    unit: str
    steps: int | None

    @property
    def count(self) -> int:
        """The number of values; 0 when they can only be drawn."""
        return 0 if self.steps is None else self.steps + 1

    def value(self, index: int) -> Value:
        """Returns a value by its index, exactly between the ends as decimals are."""
        return self._at(index, self.steps or 1)

    def drawn(self, generator: random.Random) -> Value:
        """Returns one of the values; of a range without a count that is not whole, any number in it."""
        steps = DRAWN_STEPS if self.steps is None else self.steps
        return self._at(generator.randint(0, steps), steps)

    def _at(self, index: int, steps: int) -> Value:
        number = self.start + (self.stop - self.start) * Fraction(index, steps)
        is_whole = number.denominator == 1
        text = f"{number.numerator if is_whole else f'{float(number):.10g}'}{self.unit}"
        return Value(text, text)


@dataclass(frozen=True)
class Variation:
    """A key and its values, as `--vary` gives them.

    `text` is the whole text of the option. The values are those of the parts, one part after the other.
    """

    key: str
    text: str
    parts: tuple[Listed | Span, ...]
    offsets: tuple[int, ...]
    """Of each part in the text, in characters."""

    @property
    def count(self) -> int:
        """The number of values."""
        return sum(part.count for part in self.parts)

    def value(self, index: int) -> Value:
        """Returns a value by its index."""
        for part in self.parts:
            if index < part.count:
                return part.value(index)
            index -= part.count
        raise IndexError(index)

    def drawn(self, cell: int, *, seed: int) -> Value:
        """Returns the value of a random cell; it depends on nothing but the seed, the cell's number and this key.

        Each part is as likely as it has values; a range from which any number may be drawn counts as one.
        """
        generator = random.Random(f"{seed} {cell} {self.key}")  # the same with every version of Python
        weights = [max(part.count, 1) for part in self.parts]
        position = generator.randrange(sum(weights))
        for part, weight in zip(self.parts, weights, strict=True):
            if position < weight:
                return part.drawn(generator)
            position -= weight
        raise IndexError(position)

    def require_counts(self) -> None:
        """Raises SceneError for a range that numbers can only be drawn from."""
        for part, offset in zip(self.parts, self.offsets, strict=True):
            if part.count == 0:
                end = _part_at(self.text, offset)
                hint = f"write {end}:4 for four numbers, or draw them with --random"
                raise _problem(self.text, offset, f"{quote(end)} has any number of values; {hint}")


def parse_variations(texts: Sequence[str]) -> list[Variation]:
    """Parses the options, each `KEY=VALUES`.

    Raises UsageError for the form of a key, SceneError with the position of what is wrong in the values.
    """
    variations = [parse_variation(text) for text in texts]
    for number, variation in enumerate(variations):
        for earlier in variations[:number]:
            if variation.key == earlier.key:
                raise _problem(
                    variation.text, 0, f"{quote(variation.key)} is varied twice; one {OPTION} has all values"
                )
            if f"{earlier.key}.".startswith(f"{variation.key}."):
                message = f"this replaces the values of {quote(earlier.key)}; give {OPTION} {variation.key}=... first"
                raise _problem(variation.text, 0, message)
    return variations


def parse_variation(text: str) -> Variation:
    """Parses `KEY=VALUES`. Raises UsageError for the form of a key, SceneError for the values."""
    key, equals, values = text.partition("=")
    steps = key.split(".")
    if not equals or not all(steps) or re.search(r"\s", key) or len(steps) > MAX_DEPTH:
        raise UsageError(f"{OPTION} needs KEY=VALUES, such as camera.zoom=1.01,1.02, not {quote(text)}")
    if key in WITHOUT_VALUES:
        raise _problem(text, 0, f"{quote(key)} cannot be varied: each cell has a file of its own, beside the sheet")
    start = len(key) + 1
    names_file = file_field_at(key_path(key)) is not None
    offsets, parts = [], []
    for offset, part in _split(values, start):
        if not part:
            raise _problem(text, offset, "a value is missing; `null` is the value that unsets a key")
        offsets.append(offset)
        parts.append(_parse_part(text, offset, part, names_file=names_file))
    return Variation(key, text, tuple(parts), offsets=tuple(offsets))


def _parse_part(text: str, offset: int, part: str, *, names_file: bool) -> Listed | Span:
    if names_file:
        return _files(text, offset, part)
    if separator := re.search(r"(?<=[\]}])\s*;", part):
        raise _problem(text, offset + separator.end() - 1, "commas separate the values, not ';'")
    if _LIKE_A_SPAN.match(part):
        return _span(text, offset, part)
    return Listed((Value(part, part),))


def _span(text: str, offset: int, part: str) -> Span:
    """Parses START:STOP or START:STOP:COUNT. Raises SceneError."""
    match = _SPAN.fullmatch(part)
    if match is None or max(map(len, (match[1], match[3]))) > _MAX_NUMBER:
        message = f"{quote(part)} is not a range: START:STOP in whole numbers, or START:STOP:COUNT"
        raise _problem(text, offset, message)
    start, stop = Fraction(match[1]), Fraction(match[3])
    if match[2] != match[4]:
        raise _problem(text, offset, f"the ends of {quote(part)} have different units")
    is_whole = all(re.fullmatch("[+-]?[0-9]+", number) for number in (match[1], match[3]))
    if match[5] is None:
        if start > stop:
            message = f"the range {quote(part)} is empty; write {match[3]}{match[2]}:{match[1]}{match[2]}"
            raise _problem(text, offset, message)
        return Span(start, stop, match[2], steps=int(stop - start) if is_whole else None)
    count = int(match[5])
    if count == 0:
        raise _problem(text, offset, f"the range {quote(part)} is empty: it has 0 values")
    if count == 1 and start != stop:
        raise _problem(text, offset, f"one value of the range {quote(part)} is no range; write {match[1]}{match[2]}")
    return Span(start, stop, match[2], steps=count - 1)


def _files(text: str, offset: int, part: str) -> Listed:
    """Returns the files that a pattern matches, in the order of their names; or a value as it is written."""
    is_pattern = part[:1] not in ("'", '"') and any(character in part for character in "*?[")
    if not is_pattern or _exists(part):
        return Listed((Value(part, Path(part.strip("'\"")).name or part),))
    try:
        names = glob.iglob(part)  # noqa: PTH207  # Path.glob takes no absolute pattern
        found = list(islice((name for name in names if Path(name).is_file()), MAX_FILES + 1))
    except (OSError, ValueError):
        found = []
    if len(found) > MAX_FILES:
        raise _problem(text, offset, f"more than {MAX_FILES} files match {quote(part)}")
    if not found:
        raise _problem(text, offset, f"no file matches {quote(part)}{similar_file(Path(part))}")
    try:
        return Listed(tuple(Value(value_text(name), Path(name).name) for name in sorted(found)))
    except SceneError:
        raise _problem(text, offset, f"a name that {quote(part)} matches is not text") from None


def _exists(name: str) -> bool:
    try:
        return os.path.lexists(name)
    except ValueError:
        return False


def _split(values: str, start: int) -> Iterator[tuple[int, str]]:
    """Yields the parts between the commas outside of brackets and quotes, stripped, each with its offset."""
    depth, begin, quoted, previous = 0, 0, "", ","
    position = 0
    while position < len(values):
        character = values[position]
        if quoted:
            if character == "\\" and quoted == '"':
                position += 1
            elif character == quoted:
                quoted = ""
        elif character in "'\"" and previous in ",[{(:":
            quoted = character
        elif character in "[{(":
            depth += 1
        elif character in "]})":
            depth = max(depth - 1, 0)
        elif character == "," and depth == 0:
            yield _stripped(values[begin:position], start + begin)
            begin = position + 1
        if not character.isspace():
            previous = character
        position += 1
    yield _stripped(values[begin:], start + begin)


def _stripped(part: str, offset: int) -> tuple[int, str]:
    return offset + len(part) - len(part.lstrip()), part.strip()


def _part_at(text: str, offset: int) -> str:
    return next(_split(text[offset:], 0))[1]


def _problem(text: str, offset: int, message: str) -> SceneError:
    """The error at a character of an option's text."""
    return SceneError([Problem(message, SourceText(text, OPTION).at_index(offset))])

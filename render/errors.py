"""Every error a user can meet.

* RenderError          the root; carries the exit status
  ├── SceneError       2  the scene is wrong: one or more problems, each with its place
  ├── UsageError       2  the command line is wrong
  ├── MissingError     3  the machine lacks something: a codec, a device, a package
  ├── StorageError     4  reading or writing failed
  │   └── DiskFullError
  └── Interrupted    130  asked to stop; what is done is kept
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace


class RenderError(Exception):
    """Root of all errors that `render` raises on purpose; the message is one a user can act on."""

    status = 1


class UsageError(RenderError):
    """The command line, or an argument of the API, is wrong."""

    status = 2


class MissingError(RenderError):
    """The machine lacks something the scene needs; the message says how to get it."""

    status = 3


class StorageError(RenderError):
    """A file could not be read or written."""

    status = 4


class DiskFullError(StorageError):
    """There is no room left where something is to be written."""


class Interrupted(RenderError):
    """The user asked to stop; the message says how to go on."""

    status = 130


@dataclass(frozen=True)
class Place:
    """A position in a text: its name (a path, or `--set`), 1-based line and column, and the line itself.

    Of a very long line `text` holds only a part, from `skipped` characters on.
    """

    name: str
    line: int
    column: int
    text: str
    skipped: int = 0

    def __str__(self) -> str:
        gutter = f"{self.line:>5} | "
        caret = " " * (len(gutter) + self.column - 1 - self.skipped) + "^"
        return f"{gutter}{self.text}\n{caret}"

    def moved(self, columns: int) -> Place:
        """The place `columns` further right on the same line, if the line reaches that far."""
        column = self.column + columns
        return replace(self, column=column) if column - self.skipped <= len(self.text) else self


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, where it is, and what to do about it."""

    message: str
    place: Place | None = None

    def __str__(self) -> str:
        if self.place is None:
            return self.message
        where = f"{self.place.name}:{self.place.line}:{self.place.column}"
        return f"{where}: {self.message}\n{self.place}"


class SceneError(RenderError):
    """The scene is wrong. `problems` holds everything found, in the order of the file."""

    status = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in problems))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch, OpenCV, numpy or Python itself says that there is no memory left."""
    return isinstance(error, MemoryError) or bool(_NO_MEMORY.search(str(error)))


_NO_MEMORY = re.compile(
    "out of memory|can't allocate memory|Insufficient memory|bad_alloc|"
    "could not create a primitive|can't start new thread"
)
LONGEST_QUOTE = 60
MOST_SUGGESTED = 5


def shown(value: object) -> str:
    """A value in quotes, as an error can print it: not too long, and nothing that a terminal would obey."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value)[: LONGEST_QUOTE + 1])
    return f"'{text[:LONGEST_QUOTE]}…'" if len(text) > LONGEST_QUOTE else f"'{text}'"


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    found = difflib.get_close_matches(word[:LONGEST_QUOTE], sorted(known), n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """`; did you mean 'zoom'?` when a known word is close: the end of an error's sentence.

    Else the known words. Of very many, `otherwise` says how to list them; only those that contain the word are shown.
    """
    word, names = word[:LONGEST_QUOTE], sorted(known)
    containing = [name for name in names if word and word.casefold() in name.casefold()]
    if otherwise and containing:
        return f"; there are {', '.join(shown(name) for name in containing[:MOST_SUGGESTED])}, {otherwise}"
    meant = closest(word, names)
    if meant is not None:
        return f"; did you mean '{meant}'?"
    if not otherwise and names:
        otherwise = f"known are {', '.join(names)}"
    return f"; {otherwise}" if otherwise else ""

"""Text for messages: quoting, suggestions, positions with carets, sizes."""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

MAX_QUOTE = 60
"""Characters of a quoted value."""
MAX_SUGGESTIONS = 5
MAX_MATCHES = 20
_CONTROLS = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's categories of controls, formats (among them those of direction), surrogates and separators of lines."""
_JOINERS = "\u200c\u200d"
"""Formats that letters and emoji are written with."""


def escape(value: object) -> str:
    """Returns a text in which characters that control a terminal, the line or the direction of writing are escaped.

    So a name cannot look like another one, or like a message; letters, marks and joined emoji stay as they are.
    """
    return "".join(_escaped(c) if unicodedata.category(c) in _CONTROLS and c not in _JOINERS else c for c in str(value))


def escape_lines(text: str) -> str:
    """Returns a text with its lines and tabs kept, and the rest escaped; see `escape`."""
    return "".join(part if part in ("\n", "\t") else escape(part) for part in re.split("([\n\t])", text))


def quote(value: object) -> str:
    """Returns a value in quotes, shortened and escaped."""
    text = str(value)
    return f"'{escape(text[:MAX_QUOTE])}…'" if len(text) > MAX_QUOTE else f"'{escape(text)}'"


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def closest_match(word: str, known: Iterable[str], *, first: Collection[str] = ()) -> str | None:
    """Returns the known word that is most similar, None when none is. Similar words of `first` come before others.

    Of equally similar words of `first` it is the first in the alphabet.
    """
    word = word[:MAX_QUOTE]
    matches = difflib.get_close_matches(word, sorted(known), n=MAX_MATCHES, cutoff=0.6)
    preferred = sorted(match for match in matches if match in first)
    if preferred:
        return max(preferred, key=lambda match: difflib.SequenceMatcher(None, match, word).ratio())
    return matches[0] if matches else None


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "", *, first: Collection[str] = ()) -> str:
    """Returns the end of an error's sentence: `; did you mean 'zoom'?` when a known word is similar.

    Otherwise it lists the known words; with `otherwise`, which says how to list them all, only those that contain the
    word. Words of `first` come before others.
    """
    word, names = word[:MAX_QUOTE], sorted(known, key=lambda name: (name not in first, name))
    containing = [name for name in names if word and word.casefold() in name.casefold()]
    if otherwise and containing:
        return f"; there are {', '.join(quote(name) for name in containing[:MAX_SUGGESTIONS])}, {otherwise}"
    meant = closest_match(word, names, first=first)
    if meant is not None:
        return f"; did you mean '{meant}'?"
    if not otherwise and names:
        otherwise = f"expected one of {', '.join(names)}"
    return f"; {otherwise}" if otherwise else ""


def similar_file(path: Path, pattern: str = "*") -> str:
    """Returns `; did you mean 'zoom.yaml'?` when the folder has a file with a similar name, else an empty text."""
    try:
        meant = closest_match(path.name, [file.name for file in path.parent.glob(pattern)])
    except (OSError, ValueError):
        return ""
    return f"; did you mean '{meant}'?" if meant else ""


@dataclass(frozen=True)
class Position:
    """A position in a text: its name (a path, or `--set`), 1-based line and column, and the line itself.

    Of a very long line, `text` holds only a part, from `skipped` characters on.
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

    def moved(self, columns: int) -> Position:
        """Returns the position `columns` further right on the same line, if the line reaches that far."""
        column = self.column + columns
        return replace(self, column=column) if column - self.skipped <= len(self.text) else self


@dataclass(frozen=True)
class Problem:
    """What is wrong, where, and what to do about it."""

    message: str
    position: Position | None = None

    def __str__(self) -> str:
        if self.position is None:
            return self.message
        where = f"{self.position.name}:{self.position.line}:{self.position.column}"
        return f"{where}: {self.message}\n{self.position}"

    def as_json(self) -> dict[str, str | int]:
        """Returns the message and, where it has one, the position."""
        if self.position is None:
            return {"message": self.message}
        position = self.position
        return {"message": self.message, "file": position.name, "line": position.line, "column": position.column}


def format_bytes(count: float) -> str:
    """Formats a number of bytes: `1.5 GB`."""
    power = min(max(int(math.log10(max(count, 1)) // 3), 1), 3)
    return f"{count / 1000**power:.3g} {('kB', 'MB', 'GB')[power - 1]}"

"""The problems of a scene's text, as ranges of it, with the messages and positions of the command line."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from render.errors import RenderError, SceneError, SceneFileError
from render.pipeline.load import load_text
from render.pipeline.scene import Scene
from render.scene.yaml_loader import LINE_BREAK
from render.scene.yaml_tree import require_length
from render.studio.yaml_tokens import Token, tokens
from render.text import Problem, escape_lines

Severity = Literal["error", "warning"]
BYTE_ORDER_MARK = "\ufeff"
_WORD = re.compile(r"[\w.]+|\S")
"""A name, a number or a sign of an expression."""
_PAIRS = {"[": "]", "{": "}"}


@dataclass(frozen=True)
class TextProblem:
    """What is wrong in a text, or hardly what was meant (`warning`), and the range of the key or value.

    `start` and `end` are offsets in the text. `line` and `column`, from 1, and `message` are those of the command line.
    """

    start: int
    end: int
    line: int
    column: int
    message: str
    severity: Severity = "error"


@dataclass(frozen=True)
class Checked:
    """The scene of a text, None when it has an error, and all problems in the order of the text."""

    scene: Scene | None
    problems: tuple[TextProblem, ...]


def check(text: str, path: Path) -> Checked:
    """Loads the text of the scene file at `path` and returns its scene and its problems, as `render check` prints them.

    May be called in several threads.
    """
    body = text.removeprefix(BYTE_ORDER_MARK)  # as a file is read
    scene: Scene | None = None
    severity: Severity = "error"
    try:
        require_length(body.encode(errors="surrogatepass"), str(path))
        scene = load_text(body, path)
    except RenderError as error:
        problems = _problems(error)
    else:
        problems, severity = scene.warnings, "warning"
    return Checked(scene, tuple(_ranges(problems, body, severity=severity, shift=len(text) - len(body))))


def _problems(error: RenderError) -> Sequence[Problem]:
    """What an error says is wrong; one that is not about a place in the scene has no position."""
    return error.problems if isinstance(error, SceneError | SceneFileError) else (Problem(str(error)),)


def _ranges(problems: Sequence[Problem], text: str, *, severity: Severity, shift: int) -> Iterator[TextProblem]:
    """Yields problems as ranges; `shift` is added to their offsets."""
    if not problems:
        return
    line_starts = [0, *(match.end() for match in LINE_BREAK.finditer(text))]
    found = tokens(text)
    starts = [token.start for token in found]
    for problem in problems:
        line, column = (problem.position.line, problem.position.column) if problem.position else (1, 1)
        start = min(line_starts[min(line, len(line_starts)) - 1] + column - 1, len(text))
        index = bisect_right(starts, start) - 1
        start, end = _extent(found, index, start) if index >= 0 else (start, start)
        message = escape_lines(problem.message)
        yield TextProblem(start + shift, end + shift, line=line, column=column, message=message, severity=severity)


def _extent(found: Sequence[Token], index: int, offset: int) -> tuple[int, int]:
    """The range to underline for a position: the rest of a token, a word within it, or what precedes a missing value.

    `index` is that of the last token that starts at or before the offset.
    """
    token = found[index]
    if offset >= token.end:
        return token.start, token.end
    if offset == token.start:
        return offset, _closing(found, index).end
    word = _WORD.match(token.text, offset - token.start)
    return offset, token.start + (word.end() if word else len(token.text))


def _closing(found: Sequence[Token], index: int) -> Token:
    """The token that ends what a token begins: of a bracket that on its line, or the last token of the line."""
    first = last = found[index]
    depth = 0
    for token in found[index:] if first.text in _PAIRS else ():
        if token.line != first.line or token.kind == "comment":
            break
        last = token
        if token.kind == "indicator":
            depth += (token.text in _PAIRS) - (token.text in _PAIRS.values())
        if depth == 0:
            break
    return last

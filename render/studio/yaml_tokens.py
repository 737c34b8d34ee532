"""The tokens of a scene's text, also of one that is being typed and is no YAML yet.

A token never spans lines, and nothing is an error: a quote that is not closed ends with its line, and a bracket that is
not closed ends where a line begins that can only belong to the block around it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

Kind = Literal["plain", "quoted", "comment", "indicator"]


class Token(NamedTuple):
    """A scalar, a comment or an indicator: `: - , [ ] { }`.

    `start` and `end` are offsets, line and column count from 0. `depth` is the number of brackets around it.
    """

    kind: Kind
    start: int
    end: int
    line: int
    column: int
    depth: int
    text: str


_BREAK = r"\r\n|[\n\r\x85\u2028\u2029]"
_QUOTED = r'"(?:[^"\\\n\r]|\\[^\n\r])*(?:"|\\)?|' + r"'(?:[^'\n\r]|'')*'?"
_BLOCK = re.compile(
    rf"(?P<newline>{_BREAK})|\s|(?P<comment>#[^\n\r]*)|(?P<quoted>{_QUOTED})"
    r"|(?P<indicator>[\[\]{}]|[:-](?!\S))"
    r"|(?P<plain>(?:[^\s:#]|:(?=\S)|(?<=\S)#|[ \t]+(?=[^\s#])(?!:(?!\S)))+)"
)
"""A token outside of brackets. A scalar without quotes ends at `: ` and before ` #`."""
_FLOW = re.compile(
    rf"(?P<newline>{_BREAK})|\s|(?P<comment>#[^\n\r]*)|(?P<quoted>{_QUOTED})"
    r"|(?P<indicator>[\[\]{},]|:(?![^\s,\[\]{}]))"
    r"|(?P<plain>(?:[^\s:#,\[\]{}]|:(?=[^\s,\[\]{}])|(?<=\S)#|[ \t]+(?=[^\s#,\[\]{}])(?!:(?![^\s,\[\]{}])))+)"
)
"""A token within brackets, where commas and brackets end a scalar."""
_BLOCK_LINE = re.compile(rf"(?:{_QUOTED}|[\w.%+-]+(?:[ \t][\w.%+-]+)?)[ \t]*:(?!\S)|-(?!\S)")
"""The beginning of a line that is a key or an item of a block."""
_OPENING, _CLOSING = ("[", "{"), ("]", "}")


def tokens(text: str) -> Sequence[Token]:
    """Returns the tokens of a text, in order."""
    found: list[Token] = []
    offset = line_start = line = depth = indent = 0
    is_enclosed = False  # whether a key or an item precedes the outermost bracket, so that a block is around it
    while offset < len(text):
        match = (_FLOW if depth else _BLOCK).match(text, offset)
        if match is None:  # every character begins a token; a text never fails
            offset += 1
            continue
        kind, start, offset = match.lastgroup, offset, match.end()
        if kind == "newline":
            line, line_start = line + 1, offset
            if depth and is_enclosed and _ends_brackets(text, offset, indent):
                depth = 0
            continue
        if kind is None:
            continue
        value = match[0]
        column, around = start - line_start, depth
        is_first = not found or found[-1].line != line
        if is_first and not depth:
            indent = column
        if kind == "indicator" and value in _OPENING:
            is_enclosed = is_enclosed if depth else not is_first
            depth += 1
        elif kind == "indicator" and value in _CLOSING:
            depth = max(depth - 1, 0)
        found.append(Token(kind, start, offset, line=line, column=column, depth=around, text=value))  # type: ignore[arg-type]  # a Kind
    return found


_INDENT = re.compile("[ \t]*")


def _ends_brackets(text: str, offset: int, indent: int) -> bool:
    """Whether the line at `offset` belongs to the block whose brackets began on a line with that indent."""
    match = _INDENT.match(text, offset)
    start = match.end() if match else offset
    return start - offset <= indent and _BLOCK_LINE.match(text, start) is not None

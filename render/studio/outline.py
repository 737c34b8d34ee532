"""The outline of a scene's text, also of one that is being typed: its keys and values, and what is at a cursor.

It follows indentation and brackets only; what is no YAML yet ends nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from render.scene.field_errors import Loc
from render.studio.yaml_tokens import Token, tokens

Place = Literal["key", "value", "either", "item"]
LINE_BREAKS = "\n\r\x85\u2028\u2029"


@dataclass(frozen=True)
class Cursor:
    """What may be written at an offset of a text.

    A `key` of the mapping at `path`, the `value` at it, `either` of both, where the value may begin a block, or, at the
    beginning of a line, an `item` of the list at it, whose dash is missing. `start` and `end` are the range of the
    scalar that is there, without its quotes; `quote` is what they are. `column` is that of a block, None in brackets.
    `has_colon` says that a colon follows, `is_adjacent` that a colon or a dash is
    directly before, from which a space must separate it.
    """

    place: Place
    path: Loc
    start: int
    end: int
    column: int | None = None
    quote: str = ""
    has_colon: bool = False
    is_adjacent: bool = False


@dataclass(frozen=True)
class Outline:
    """The keys of each mapping and the text of each scalar by path, and what is at the cursor, None for nothing.

    The key at the cursor is not among the keys.
    """

    cursor: Cursor | None
    keys: dict[Loc, list[str]]
    values: dict[Loc, str]


@dataclass
class _Container:
    """A mapping or a list that is open. `key` is the current one, or the index; `is_set` says that it has a value.

    `column` is that of a block, None in brackets.
    """

    path: Loc
    is_list: bool
    column: int | None
    key: str | int | None = None
    is_set: bool = False

    @property
    def slot(self) -> Loc:
        """The path of the current value."""
        return self.path if self.key is None else (*self.path, self.key)

    @property
    def following(self) -> Loc:
        """The path of the next item of a list."""
        return (*self.path, self.key + 1 if isinstance(self.key, int) else 0)


@dataclass
class _Reader:
    """Follows the tokens of a text. `containers` are those that are open, the outermost first."""

    keys: dict[Loc, list[str]] = field(default_factory=dict)
    values: dict[Loc, str] = field(default_factory=dict)
    containers: list[_Container] = field(default_factory=list)

    def read(self, token: Token, *, is_first: bool, is_key: bool) -> None:
        """Reads a token; `is_first` on its line. A key is a scalar with a colon after it."""
        if token.depth == 0:
            self.containers = [each for each in self.containers if each.column is not None]
        if token.depth == 0 and (is_first or is_key or token.text == "-"):
            self.containers = _around(self.containers, token.column, is_item=token.text == "-")
        match token.kind, token.text:
            case "indicator", "-":
                self._begin_item(token.column)
            case "indicator", "{" | "[":
                self._open(_Container(self._slot(), token.text == "[", None))
            case "indicator", "}" | "]":
                self._close(is_list=token.text == "]")
            case "indicator", ",":
                self._continue()
            case "plain" | "quoted", _:
                self._scalar(token, is_first=is_first, is_key=is_key)

    @property
    def _top(self) -> _Container | None:
        return self.containers[-1] if self.containers else None

    def _slot(self) -> Loc:
        return self._top.slot if self._top else ()

    def _open(self, container: _Container) -> None:
        if self._top:
            self._top.is_set = True
        if container.is_list:
            container.key = 0
        self.containers.append(container)

    def _begin_item(self, column: int) -> None:
        top = self._top
        if top is not None and top.is_list and top.column == column:
            self._advance(top)
        else:
            self._open(_Container(self._slot(), True, column))

    def _close(self, *, is_list: bool) -> None:
        while self._top is not None and self._top.column is None:
            if self.containers.pop().is_list == is_list:
                return

    def _continue(self) -> None:
        top = self._top
        if top is not None and top.is_list:
            self._advance(top)
        elif top is not None and top.column is None:
            top.key, top.is_set = None, False

    def _advance(self, top: _Container) -> None:
        top.key, top.is_set = (top.key if isinstance(top.key, int) else 0) + 1, False

    def _scalar(self, token: Token, *, is_first: bool, is_key: bool) -> None:
        text = _unquoted(token)
        if is_key and token.depth == 0 and not self._is_mapping(token.column):
            self._open(_Container(self._slot(), False, token.column))
        top = self._top
        if top is None or (top.is_list and is_key):
            return
        is_bare_key = top.column is None and not top.is_list and top.key is None
        if is_key or is_bare_key:
            top.key, top.is_set = text, is_bare_key and not is_key
            self.keys.setdefault(top.path, []).append(text)
        elif not top.is_set and not (is_first and self._is_mapping(token.column)):
            top.is_set = True
            self.values[top.slot] = text

    def _is_mapping(self, column: int) -> bool:
        """Whether the innermost container is a mapping whose keys are at the column."""
        return self._top is not None and not self._top.is_list and self._top.column == column


def outline(text: str, offset: int) -> Outline:
    """Returns the outline of a text with a cursor at an offset."""
    found = tokens(text)
    written = [token for token in found if token.kind != "comment"]
    first = next((i for i, token in enumerate(written) if token.start >= offset or _holds(token, offset)), len(written))
    reader = _Reader()
    for index in range(first):
        reader.read(written[index], **_role(written, index))
    is_comment = any(token.start < offset <= token.end for token in found if token.kind == "comment")
    cursor = None if is_comment else _cursor(reader.containers, written, first, text=text, offset=offset)
    for index in range(first, len(written)):
        reader.read(written[index], **_role(written, index))
    if cursor is not None:
        names, own = reader.keys.get(cursor.path, []), text[cursor.start : cursor.end]
        if own in names:
            names.remove(own)
    return Outline(cursor, reader.keys, reader.values)


def _cursor(
    containers: Sequence[_Container], written: Sequence[Token], index: int, *, text: str, offset: int
) -> Cursor | None:
    """Returns what may be written at an offset; `index` is that of the first token that is not before it."""
    token = written[index] if index < len(written) and _holds(written[index], offset) else None
    start = offset if token is None else token.start
    line_start = max(text.rfind(each, 0, start) for each in LINE_BREAKS) + 1
    previous = written[index - 1] if index and written[index - 1].start >= line_start else None
    if token is not None and token.depth == 0:
        containers = [each for each in containers if each.column is not None]
    here = Cursor("key", (), start=start, end=start, column=start - line_start)
    here = replace(here, is_adjacent=previous is not None and previous.text in (":", "-") and previous.end == start)
    if token is not None:
        quote = token.text[0] if token.kind == "quoted" else ""
        is_closed = bool(quote) and len(token.text) > 1 and token.text[-1] == quote
        has_colon = bool(_role(written, index)["is_key"])
        start, end = token.start + len(quote), token.end - is_closed
        here = replace(here, start=start, end=end, quote=quote, has_colon=has_colon)
    return _in_brackets(containers[-1], here) if _is_flow(containers) else _in_block(containers, here, previous)


def _in_brackets(top: _Container, here: Cursor) -> Cursor | None:
    here = replace(here, column=None)
    if not top.is_list and top.key is None:
        return replace(here, place="key", path=top.path)
    return None if top.is_set or here.has_colon else replace(here, place="value", path=top.slot)


def _in_block(containers: Sequence[_Container], here: Cursor, previous: Token | None) -> Cursor | None:
    if previous is None:
        return _at_line_start(containers, here)
    top = containers[-1] if containers else None
    if top is None or top.is_set or previous.text not in (":", "-"):
        return None
    if previous.text == "-":
        return replace(here, place="key" if here.has_colon else "either", path=top.slot)
    return None if here.has_colon else replace(here, place="value", path=top.slot, column=None)


def _at_line_start(containers: Sequence[_Container], here: Cursor) -> Cursor | None:
    column = here.column or 0
    kept = _around(containers, column, is_item=False)
    top = kept[-1] if kept else None
    if top is not None and top.column == column:
        return replace(here, place="key", path=top.path)
    lists = [each for each in containers if each.is_list and each.column == column]
    if lists:
        return replace(here, place="item", path=lists[-1].following)
    if top is None:
        return None if containers else here
    return None if top.is_set else replace(here, place="key" if here.has_colon else "either", path=top.slot)


def _around(containers: Sequence[_Container], column: int, *, is_item: bool) -> list[_Container]:
    """Returns the containers that a line leaves open whose first token is at a column."""
    kept = list(containers)
    while kept:
        own = kept[-1].column
        if own is None or own < column or (own == column and (is_item or not kept[-1].is_list)):
            break
        kept.pop()
    return kept


def _is_flow(containers: Sequence[_Container]) -> bool:
    return bool(containers) and containers[-1].column is None


def _holds(token: Token, offset: int) -> bool:
    """Whether an offset is in a scalar or at its end; a quote that is closed ends it."""
    if token.kind == "quoted" and token.end == offset:
        return len(token.text) == 1 or token.text[-1] != token.text[0]
    return token.kind in ("plain", "quoted") and token.start <= offset <= token.end


def _role(written: Sequence[Token], index: int) -> dict[str, bool]:
    """Whether a token is the first of its line, and whether it is a key: a scalar before a colon."""
    token = written[index]
    is_first = index == 0 or written[index - 1].line != token.line
    following = written[index + 1] if index + 1 < len(written) else None
    is_before_colon = following is not None and following.line == token.line and following.text == ":"
    return {"is_first": is_first, "is_key": token.kind in ("plain", "quoted") and is_before_colon}


def _unquoted(token: Token) -> str:
    return token.text.strip(token.text[0]) if token.kind == "quoted" else token.text

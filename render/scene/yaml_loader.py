"""PyYAML's composer with bounds: a limited depth and number of nodes, no tags, no recursive aliases.

`compose` returns PyYAML's own nodes with their marks, or raises SceneError with positions.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml import events, nodes

from render.errors import SceneError
from render.scene.field_errors import MAX_PROBLEMS
from render.scene.habits import remedy
from render.text import Position, Problem, quote

_KEY = re.compile(r"\s*[\w.-]+\s*[:=]\s*")
MAX_DEPTH = 32
MAX_NODES = 10_000
MAX_LINE = 160
"""Characters of a line that an error prints."""
LINE_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")


class SourceText:
    """A text with a name. Gives Positions whose lines are safe to print.

    `before` precedes the text on its first line wherever a position is printed, such as `seed=` of `--set seed=1`.
    """

    def __init__(self, text: str, name: str, *, before: str = "") -> None:
        self.text, self.name, self.before = text, name, before
        self._lines = LINE_BREAK.split(text)
        self._lines[0] = before + self._lines[0]

    def position(self, line: int, column: int) -> Position:
        """Returns the position of a line and column that are counted from 0, as in PyYAML's marks."""
        line = min(line, len(self._lines) - 1)
        column += 0 if line else len(self.before)
        return printable_position(self._lines[line], name=self.name, line=line + 1, column=column + 1)

    def at_mark(self, mark: yaml.Mark) -> Position:
        """Returns the position of a mark."""
        return self.position(mark.line, mark.column)

    def at_index(self, index: int) -> Position:
        """Returns the position of the character at `index`."""
        return self.position(*end_position(self.text[:index]))

    def is_end(self, mark: yaml.Mark) -> bool:
        """Returns whether only white space follows the mark."""
        return mark.index >= len(self.text.rstrip())


def end_position(text: str) -> tuple[int, int]:
    """Returns line and column after the last character of a text, counted from 0."""
    lines = LINE_BREAK.split(text)
    return len(lines) - 1, len(lines[-1])


def printable_position(text: str, *, name: str, line: int, column: int) -> Position:
    """Returns a Position in the line `text` without control characters and with only the part around the column."""
    start = max(0, column - 1 - MAX_LINE // 2) if len(text) > MAX_LINE else 0
    part = text[start : start + MAX_LINE]
    if not part.isprintable():
        part = "".join(c if c.isprintable() else " " for c in part)
    return Position(name, line, column, text=part, skipped=start)


def compose(source: SourceText) -> tuple[nodes.Node | None, list[Problem]]:
    """Returns the root node of a YAML text, None when it is empty, and the problems that allow reading on: tags.

    Raises SceneError for everything else that is not strict YAML within the bounds.
    """
    loader = None
    problems: list[Problem] = []
    try:
        loader = _BoundedLoader(source, problems)
        root = loader.get_node() if loader.check_node() else None
        if loader.check_node():
            position = source.at_mark(loader.next_event().start_mark)
            raise SceneError([Problem("a second document; a scene is one", position)])
    except yaml.reader.ReaderError as error:
        code = error.character if isinstance(error.character, int) else ord(error.character)
        message = f"a character that YAML does not allow: U+{code:04X}"
        raise SceneError([Problem(message, source.at_index(error.position))]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        if mark is None or source.is_end(mark):  # where a bracket opens says more than the end of the text
            mark = error.context_mark or mark
        position = source.at_mark(mark) if mark else source.position(0, 0)
        instead = remedy(_KEY.sub("", position.text, count=1))
        message = f"not YAML: {error.problem}{'' if instead is None else f'; write {instead}'}"
        raise SceneError([*problems, Problem(message, position)]) from None
    except (ValueError, OverflowError):  # an escape such as \UFFFFFFFF, which PyYAML does not check
        position = source.at_mark(loader.get_mark()) if loader else source.position(0, 0)
        raise SceneError([*problems, Problem("an escape that is not a character", position)]) from None
    return root, problems


class _BoundedLoader(yaml.BaseLoader):
    """Checks every node before PyYAML composes it, so that PyYAML's recursion is never deeper than MAX_DEPTH."""

    def __init__(self, source: SourceText, problems: list[Problem]) -> None:
        super().__init__(source.text)
        self.source = source
        self.problems = problems
        self.depth = self.deepest = self.count = 0
        self.extents: dict[str, tuple[int, int]] = {}
        """Of each anchor that is complete: its number of nodes, aliases followed, and the levels below it."""

    def next_event(self) -> Any:
        """Returns the next event without consuming it."""
        return self.peek_event()  # type: ignore[no-untyped-call]  # of the stubs

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.next_event()
        mark = event.start_mark
        is_key = isinstance(parent, nodes.MappingNode) and index is None
        if is_key and not isinstance(event, events.ScalarEvent):
            raise SceneError([Problem("a key is a word or a number", self.source.at_mark(mark))])
        if isinstance(event, events.AliasEvent):
            self._follow(str(event.anchor), mark)
            return super().compose_node(parent, index)
        if event.tag is not None:
            self._report(f"the tag {quote(event.tag)} means nothing in a scene", mark)
        if event.anchor is not None:  # YAML 1.2 lets a later anchor replace one of the same name; PyYAML does not
            self.anchors.pop(event.anchor, None)
            self.extents.pop(event.anchor, None)
        count, deepest = self.count, self.deepest
        self._grow(0 if is_key else 1, self.depth, mark=mark)
        self.deepest = self.depth
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        if event.anchor is not None:
            self.extents[event.anchor] = (self.count - count, self.deepest - self.depth)
        self.deepest = max(deepest, self.deepest)
        return node

    def _follow(self, anchor: str, mark: yaml.Mark) -> None:
        """Counts the nodes that an alias repeats. Raises SceneError when its anchor is missing or encloses it."""
        if anchor not in self.extents:
            raise SceneError([Problem(f"{quote('*' + anchor)} names nothing above it", self.source.at_mark(mark))])
        count, levels = self.extents[anchor]
        self._grow(count, self.depth + levels, mark=mark)
        self.deepest = max(self.deepest, self.depth + levels)

    def _grow(self, count: int, depth: int, *, mark: yaml.Mark) -> None:
        self.count += count
        if depth > MAX_DEPTH:
            raise SceneError([Problem(f"nested deeper than {MAX_DEPTH}", self.source.at_mark(mark))])
        if self.count > MAX_NODES:
            message = f"more than {MAX_NODES} values, aliases counted"
            raise SceneError([Problem(message, self.source.at_mark(mark))])

    def _report(self, message: str, mark: yaml.Mark) -> None:
        self.problems.append(Problem(message, self.source.at_mark(mark)))
        if len(self.problems) >= MAX_PROBLEMS:
            raise SceneError(self.problems)

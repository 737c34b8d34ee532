"""The layout of a YAML text: where keys, values, lines and comments are, and edits of the text at these places."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import yaml
from yaml import nodes, tokens

from render.scene.field_errors import Loc
from render.scene.yaml_loader import LINE_BREAK, SourceText, compose

_ITEM_INDICATORS = (tokens.FlowSequenceStartToken, tokens.BlockEntryToken)


@dataclass(frozen=True)
class TextEdit:
    """Replaces the characters from `start` up to `end` with `text`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Entry:
    """An entry of a mapping or an item of a list, with indices of the text.

    `key` is None for an item. `start` is where the key begins, or the item with the `-` before it; `indicator_end` is
    after the `:` or `-`, `value_start` where the value begins, and `end` where it ends.
    """

    key: str | None
    start: int
    indicator_end: int
    value_start: int
    end: int


def apply_edits(text: str, edits: Sequence[TextEdit]) -> str:
    """Returns the text after the edits. Equal edits count once; edits may touch but not overlap."""
    parts, position = [], 0
    for edit in sorted(set(edits), key=lambda edit: (edit.start, edit.end)):
        parts += [text[position : edit.start], edit.text]
        position = edit.end
    return "".join([*parts, text[position:]])


class Layout:
    """The nodes and tokens of a YAML text that is known to be valid."""

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.root, _ = compose(SourceText(text, name))
        every: list[Any] = list(yaml.scan(text, Loader=yaml.BaseLoader))
        self.tokens = [each for each in every if each.start_mark.index < each.end_mark.index]
        """The tokens that have characters, in the order of the text."""
        self._lines = [0, *(match.end() for match in LINE_BREAK.finditer(text))]
        self._starts = [each.start_mark.index for each in self.tokens]
        self._scalars = {
            each.end_mark.index: each.start_mark.index for each in every if isinstance(each, tokens.ScalarToken)
        }

    def node(self, path: Loc) -> Any:
        """Returns the node at `path`, a path of the text's own keys and indices; aliases are followed."""
        node: Any = self.root
        for step in path:
            if isinstance(node, nodes.MappingNode):
                node = next(value for key, value in node.value if key.value == step)
            else:
                node = node.value[step]
        return node

    def key(self, path: Loc) -> Any:
        """Returns the node of the key that ends `path`."""
        return next(key for key, _ in self.node(path[:-1]).value if key.value == path[-1])

    def is_flow(self, path: Loc) -> bool:
        """Returns whether the mapping at `path` is written as `{…}`."""
        return bool(self.node(path).flow_style)

    def entries(self, path: Loc) -> list[Entry]:
        """Returns the entries of the mapping at `path` in the order of the text."""
        return [self._entry(key, value) for key, value in self.node(path).value]

    def items(self, path: Loc) -> list[Entry]:
        """Returns the items of the list at `path`."""
        node = self.node(path)
        i = bisect_left(self._starts, node.start_mark.index)
        while not isinstance(self.tokens[i], _ITEM_INDICATORS):  # an anchor
            i += 1
        items = []
        for item in node.value:
            indicator = self.tokens[i]
            value_start, end = self._value(i, item)
            is_block = isinstance(indicator, tokens.BlockEntryToken)
            start = indicator.start_mark.index if is_block else value_start
            items.append(Entry(None, start, indicator.end_mark.index, value_start=value_start, end=end))
            i = bisect_left(self._starts, end)
        return items

    def closing_bracket(self, path: Loc) -> int:
        """Returns the index of the bracket that ends the flow mapping or list at `path`."""
        return int(self.node(path).end_mark.index) - 1

    def comma_end(self, entry: Entry) -> int | None:
        """Returns the index after the comma that follows an entry; None when there is none."""
        i = bisect_left(self._starts, entry.end)
        is_comma = i < len(self.tokens) and isinstance(self.tokens[i], tokens.FlowEntryToken)
        return self.tokens[i].end_mark.index if is_comma else None

    def replace_scalar(self, node: Any, value: str) -> TextEdit:
        """Returns the edit that gives a scalar another value in the same quotes; an anchor before it is kept."""
        end = node.end_mark.index
        start = self._scalars[end]
        quote = self.text[start] if node.style in ("'", '"') else ""
        return TextEdit(start, end, f"{quote}{value}{quote}")

    def remove_from_flow(self, entry: Entry, *, previous: Entry) -> list[TextEdit]:
        """Returns the edits that remove an entry of a flow mapping with one comma, and no comment."""
        gap = self.text[previous.end : entry.start]
        if not self.has_line_break(gap):
            return [TextEdit(previous.end, entry.end, "")]
        following = self.tokens[bisect_left(self._starts, entry.end)]
        if isinstance(following, tokens.FlowEntryToken):
            end = following.end_mark.index
            while self.text[end] == " ":
                end += 1
            return [TextEdit(entry.start, end, "")]
        comma = self.tokens[bisect_left(self._starts, previous.end)]
        return [TextEdit(comma.start_mark.index, comma.end_mark.index, ""), TextEdit(entry.start, entry.end, "")]

    def line_start(self, index: int) -> int:
        """Returns the index of the first character of the line of `index`."""
        return self._lines[bisect_right(self._lines, index) - 1]

    def line_end(self, index: int) -> int:
        """Returns the index after the line of `index` and its line break."""
        match = LINE_BREAK.search(self.text, index)
        return len(self.text) if match is None else match.end()

    def line_break(self, index: int) -> str:
        """Returns the line break of the line of `index`; a line feed when it has none."""
        match = LINE_BREAK.search(self.text, index)
        return "\n" if match is None else match[0]

    def has_line_break(self, text: str) -> bool:
        """Returns whether a part of the text has a line break."""
        return LINE_BREAK.search(text) is not None

    def with_comments_above(self, line_start: int) -> int:
        """Returns the start of the comment lines directly above the line that starts at `line_start`."""
        while line_start > 0:
            above = self.line_start(line_start - 1)
            if not self.text[above:line_start].lstrip().startswith("#"):
                break
            line_start = above
        return line_start

    def indented(self, start: int, end: int, *, indent: str) -> str:
        """Returns the lines from `start` up to `end` with further indentation; blank lines stay as they are."""
        borders = [start, *(line for line in self._lines if start < line < end), end]
        lines = [self.text[a:b] for a, b in pairwise(borders)]
        return "".join(indent + line if line.strip() else line for line in lines)

    def comments(self) -> Iterator[tuple[int, int]]:
        """Yields start and end of the comments: what is between the tokens, from a `#` to the end of its line."""
        position = 0
        for start, end in [*((t.start_mark.index, t.end_mark.index) for t in self.tokens), (len(self.text),) * 2]:
            for match in re.finditer(r"#[^\n\r\x85\u2028\u2029]*", self.text[position:start]):
                yield position + match.start(), position + match.end()
            position = max(position, end)

    def _entry(self, key: nodes.Node, value: nodes.Node) -> Entry:
        start, after_key = key.start_mark.index, key.end_mark.index
        i = bisect_left(self._starts, after_key)
        if i == len(self.tokens) or not isinstance(self.tokens[i], tokens.ValueToken):  # `{jitter}` or `? jitter`
            return Entry(key.value, start, after_key, value_start=after_key, end=after_key)
        value_start, end = self._value(i, value)
        return Entry(key.value, start, self.tokens[i].end_mark.index, value_start=value_start, end=end)

    def _value(self, i: int, value: nodes.Node) -> tuple[int, int]:
        """Returns start and end of the value after the token of number `i`, a `:`, a `-`, a bracket or a comma."""
        following = self.tokens[i + 1] if i + 1 < len(self.tokens) else None
        if isinstance(following, tokens.AliasToken):  # the node is that of the anchor
            return following.start_mark.index, following.end_mark.index
        # A block collection ends where the next token begins: the end is that of the last token before it.
        last = self.tokens[max(i, bisect_left(self._starts, value.end_mark.index) - 1)]
        end = last.end_mark.index
        if isinstance(last, tokens.ScalarToken) and last.style in ("|", ">"):
            start = self.tokens[i].start_mark.index
            end = start + len(self.text[start:end].rstrip())
        return (end if last is self.tokens[i] else value.start_mark.index), end

"""Rewrites the text of a 0.5.0 scene with today's keys, and keeps comments, layout, quoting and order.

The keys are found by PyYAML's marks. A key that moved into a new section takes its lines, or its place in a flow
mapping, with it: `jitter: 32` becomes `transforms: {jitter: 32}`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from render.errors import SceneError
from render.scene.field_errors import Loc
from render.scene.renames import KeyRename, ValueRename, find_renames, upgraded_path, upgraded_tree
from render.scene.yaml_layout import Entry, Layout, TextEdit, apply_edits
from render.scene.yaml_tree import Node, parse_yaml
from render.text import Problem

INDENT = "  "
Renames = Sequence[tuple[Loc, KeyRename | ValueRename]]

_ENDS_FLOW_SCALAR = re.compile(r"[][{},?]")
"""Characters that a plain scalar has in a block mapping, but not in a flow mapping."""
_OVERRIDE = re.compile(r"(?P<option>--set[ =]+['\"]?)(?P<key>[\w.]+)=(?P<value>[^\s'\"]*)")


def upgrade_text(text: str, *, name: str) -> str:
    """Returns the text of a scene with today's keys; a scene without old keys is returned unchanged.

    In comments only the keys of `--set KEY=VALUE` change. `name` is what positions in errors call the text. Raises
    SceneError when the text is not strict YAML, or when old keys cannot be rewritten in place, with their positions.
    """
    tree = parse_yaml(text, name)
    renames = list(find_renames(tree.plain()))
    if not renames and "--set" not in text:
        return text
    _refuse_conflicts(tree, renames)
    try:
        upgraded = _with_renames(text, renames, name=name)
        if any(isinstance(rename, KeyRename) and rename.is_move for _, rename in renames):
            upgraded = _with_moves(upgraded, name)
        is_same_scene = _is_equal(parse_yaml(upgraded, name), upgraded_tree(tree))
    except SceneError:
        is_same_scene = False
    if not is_same_scene:
        reason = "but cannot be rewritten here without changing something else; change it by hand"
        raise SceneError([_problem(tree, path, f"{rename}, {reason}") for path, rename in renames])
    return upgraded


def _is_equal(a: Node, b: Node) -> bool:
    """Returns whether two trees have the same values, at any positions and with keys in any order."""
    if isinstance(a.value, dict) and isinstance(b.value, dict):
        return a.value.keys() == b.value.keys() and all(_is_equal(a.value[key], b.value[key]) for key in a.value)
    if isinstance(a.value, list) and isinstance(b.value, list):
        return len(a.value) == len(b.value) and all(map(_is_equal, a.value, b.value))
    return type(a.value) is type(b.value) and repr(a.value) == repr(b.value)  # NaN is not equal to itself


def _problem(tree: Node, path: Loc, message: str) -> Problem:
    return Problem(message, tree.key_position(path))


def _refuse_conflicts(tree: Node, renames: Renames) -> None:
    """Raises SceneError for old keys in a section that has the new key as well."""
    old_paths = {path for path, _ in renames}
    problems = []
    for path, rename in renames:
        if isinstance(rename, KeyRename):
            new = rename.new[0]
            if new in tree.find(path[:-1]).keys and (*path[:-1], new) not in old_paths:
                message = f"{rename}, but '{new}' exists here as well; remove one of them"
                problems.append(_problem(tree, path, message))
    if problems:
        raise SceneError(problems)


def _with_renames(text: str, renames: Renames, *, name: str) -> str:
    """Returns the text with new names of keys and values that keep their place, and of keys in comments."""
    layout = Layout(text, name)
    edits = _comments(layout)
    for path, rename in renames:
        if isinstance(rename, ValueRename):
            edits.append(layout.replace_scalar(layout.node(path), rename.new))
        elif not rename.is_move:
            edits.append(layout.replace_scalar(layout.key(path), rename.new[0]))
    return apply_edits(text, edits)


def _with_moves(text: str, name: str) -> str:
    """Returns the text with new sections for the keys that moved into one, all keys of a section together."""
    layout = Layout(text, name)
    moves: dict[tuple[Loc, str], set[str]] = {}
    for path, rename in find_renames(parse_yaml(text, name).plain()):
        if isinstance(rename, KeyRename) and rename.is_move:
            moves.setdefault((path[:-1], rename.new[0]), set()).add(rename.old)
    edits: list[TextEdit] = []
    for (path, section), keys in moves.items():
        entries = layout.entries(path)
        chosen = [i for i, entry in enumerate(entries) if entry.key in keys]
        if layout.is_flow(path):
            edits += _moved_in_flow(layout, entries, chosen, section=section)
        elif len(chosen) == 1 and _fits_on_its_line(layout, entries[chosen[0]]):
            entry = entries[chosen[0]]
            edits += [TextEdit(entry.start, entry.start, f"{section}: {{"), TextEdit(entry.end, entry.end, "}")]
        else:
            edits += _moved_in_block(layout, entries, chosen, section=section)
    return apply_edits(text, edits)


def _fits_on_its_line(layout: Layout, entry: Entry) -> bool:
    """Returns whether an entry of a block mapping is an entry of a flow mapping on the same line, as it is."""
    written = layout.text[entry.start : entry.end]
    is_alone = not layout.text[layout.line_start(entry.start) : entry.start].strip()  # and not behind a `?`
    if not is_alone or layout.has_line_break(written) or entry.value_start == entry.end:
        return False
    is_plain = written[entry.value_start - entry.start] not in "'\"[{"
    return not (is_plain and _ENDS_FLOW_SCALAR.search(layout.text[entry.value_start : entry.end]))


def _runs(indices: Sequence[int]) -> list[tuple[int, int]]:
    """Returns the first and last of each series of consecutive indices."""
    runs: list[tuple[int, int]] = []
    for i in indices:
        if runs and runs[-1][1] == i - 1:
            runs[-1] = (runs[-1][0], i)
        else:
            runs.append((i, i))
    return runs


def _moved_in_block(layout: Layout, entries: Sequence[Entry], chosen: Sequence[int], *, section: str) -> list[TextEdit]:
    """Returns the edits that gather the entries' lines, with their comments, below the first of them."""
    (first, last), *further = _runs(chosen)
    start, end = layout.line_start(entries[first].start), layout.line_end(entries[last].end)
    line = layout.text[start:end]
    margin = line[: len(line) - len(line.lstrip())]
    line_break = layout.line_break(start)
    block = f"{margin}{section}:{line_break}{layout.indented(start, end, indent=INDENT)}"
    edits = []
    for first_of_run, last_of_run in further:
        run_start = layout.with_comments_above(layout.line_start(entries[first_of_run].start))
        run_end = layout.line_end(entries[last_of_run].end)
        block += "" if block.endswith(line_break) else line_break
        block += layout.indented(run_start, run_end, indent=INDENT)
        edits.append(TextEdit(run_start, run_end, ""))
    if end < len(layout.text) and not block.endswith(line_break):
        block += line_break
    return [TextEdit(start, end, block), *edits]


def _moved_in_flow(layout: Layout, entries: Sequence[Entry], chosen: Sequence[int], *, section: str) -> list[TextEdit]:
    """Returns the edits that gather the entries at the place of the first of them."""
    (first, last), *further = _runs(chosen)
    start, end = entries[first].start, entries[last].end
    indices = [i for run in further for i in range(run[0], run[1] + 1)]
    gathered = [layout.text[start:end], *(layout.text[entries[i].start : entries[i].end] for i in indices)]
    edits = [TextEdit(start, end, f"{section}: {{{', '.join(gathered)}}}")]
    for i in indices:
        edits += layout.remove_from_flow(entries[i], previous=entries[i - 1])
    return edits


def _comments(layout: Layout) -> list[TextEdit]:
    """Returns the edits of the keys of `--set KEY=VALUE` in comments."""
    edits = []
    for start, end in layout.comments():
        for match in _OVERRIDE.finditer(layout.text, start, end):
            upgraded = upgraded_path(match["key"], match["value"])
            edits.append(TextEdit(match.start("key"), match.end("key"), upgraded))
    return edits

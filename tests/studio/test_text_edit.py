"""`edits_to`: a text gets other values, and keeps its comments, its layout and its order."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from render.errors import SceneError, UsageError
from render.scene.yaml_tree import parse_yaml
from render.studio.text_edit import apply_edits, edits_to, flow_text, is_same

CASES = {
    "a scalar keeps its comment": ("a: 1   # one\nb: 2\n", {"a": 1.5, "b": 2}, "a: 1.5   # one\nb: 2\n"),
    "numbers that are the same stay as they are written": ("a: 1.50\nb: 1\n", {"a": 1.5, "b": 2}, "a: 1.50\nb: 2\n"),
    "a key is renamed at its place": ("m: {0s: 1, 2s: 3} # m\n", {"m": {"0s": 1, "3s": 3}}, "m: {0s: 1, 3s: 3} # m\n"),
    "a section is inserted where the model has it": (
        "# top\nseed: 1\n\nobjectives: []\n",
        {"seed": 1, "objectives": [], "camera": {"zoom": 1.5}, "fps": 12},
        "# top\nfps: 12\nseed: 1\ncamera: {zoom: 1.5}\n\nobjectives: []\n",
    ),
    "a key is inserted into a block": (
        "camera:\n  rotate: 1  # turn\n  # edge\n  border: wrap\n",
        {"camera": {"rotate": 1, "zoom": 2, "pan": [0, 1], "border": "wrap"}},
        "camera:\n  zoom: 2\n  rotate: 1  # turn\n  pan: [0, 1]\n  # edge\n  border: wrap\n",
    ),
    "a key is inserted into an item": (
        "objectives:\n  - layer: a\n    weight: 2",
        {"objectives": [{"layer": "a", "weight": 2, "mask": "m"}]},
        "objectives:\n  - layer: a\n    mask: m\n    weight: 2",
    ),
    "a key is inserted into lines of a flow mapping": (
        "m: {\n  0s: 1, # a\n  4s: 2 # b\n}\n",
        {"m": {"0s": 1, "2s": 5, "4s": 2, "6s": 3}},
        "m: {\n  0s: 1, # a\n  2s: 5,\n  4s: 2, # b\n  6s: 3\n}\n",
    ),
    "an item is appended to a block": ("a:\n- 1 # x\n", {"a": [1, {"b": "1.8/s"}]}, 'a:\n- 1 # x\n- {b: "1.8/s"}\n'),
    "an item is appended to a list in brackets": ("a: [1, 2] # x\n", {"a": [1, 2, 3]}, "a: [1, 2, 3] # x\n"),
    "a block becomes a scalar": ("a: # x\n  0s: 1\n  # y\n  1s: 2\nb: 1\n", {"a": 3, "b": 1}, "a: 3 # x\nb: 1\n"),
    "a scalar becomes a mapping": ("a: 3 # x\n", {"a": {"0s": 3, "bar 2": 4}}, "a: {0s: 3, bar 2: 4} # x\n"),
    "a null gets a value": ("a:   # x\nb: 1\n", {"a": 3, "b": 1}, "a: 3   # x\nb: 1\n"),
    "an alias is replaced by its value": (
        "a: &x {b: 1}\nc: *x\n",
        {"a": {"b": 1}, "c": {"b": 2}},
        "a: &x {b: 1}\nc: {b: 2}\n",
    ),
    "keys are removed from braces": ("m: {a: 1, b: 2, c: 3, d: 4}\n", {"m": {"c": 3}}, "m: {c: 3}\n"),
    "keys are removed from a block": (
        "m:\n  a: 1\n  # c\n  b: 2 # d\n  c: 3\n",
        {"m": {"a": 1, "c": 3}},
        "m:\n  a: 1\n  # c\n  c: 3\n",
    ),
    "an item and a key after it are inserted at one place": (
        "a:\n- 1\n",
        {"a": [1, 2], "b": 3, "c": 4},
        "a:\n- 1\n- 2\nb: 3\nc: 4\n",
    ),
    "quotes of a key are kept": ("m: {'0s': 1}\n", {"m": {"1s": 1}}, "m: {'1s': 1}\n"),
    "lines end as they did": (
        "a: 1\r\nb:\r\n  c: 2\r\n",
        {"a": 1, "b": {"c": 2, "d": 3}},
        "a: 1\r\nb:\r\n  c: 2\r\n  d: 3\r\n",
    ),
}
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=8)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-99, 99),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
)
KEYS = st.sampled_from(["a", "b", "0s", "50%", "end", "bar 3", "48", "true", "x: y", "é"])
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
SCENES = st.dictionaries(KEYS, VALUES, min_size=1, max_size=5)


def block_text(value: Any, indent: str = "") -> str:
    """A value as YAML in block style with a comment on every line."""
    lines = ""
    for key, item in value.items():
        lines += f"{indent}# about\n{indent}{flow_text({key: None})[1:-7]}:"
        if isinstance(item, dict) and item:
            lines += f"  # {len(item)} keys\n{block_text(item, indent + '  ')}"
        elif isinstance(item, list) and item:
            lines += "\n" + "".join(f"{indent}- {flow_text(each)}  # item\n" for each in item)
        else:
            lines += f"   {flow_text(item)}  # value\n"
    return lines


@pytest.mark.parametrize(("before", "values", "after"), CASES.values(), ids=CASES)
def test_a_text_with_other_values_is_as_a_person_would_write_it(before: str, values: Any, after: str) -> None:
    assert apply_edits(before, edits_to(before, values)) == after


@given(VALUES)
def test_a_value_in_one_line_means_the_value(value: Any) -> None:
    text = flow_text({"key": value, "next": 1})
    assert "\n" not in text
    assert is_same(parse_yaml(text, "text").plain(), {"key": value, "next": 1})


@settings(max_examples=300, deadline=None)
@given(SCENES, SCENES, st.booleans())
def test_any_values_become_any_others_or_the_text_is_refused(before: Any, after: Any, is_block: bool) -> None:
    text = block_text(before) if is_block else flow_text(before)
    assert is_same(parse_yaml(text, "text").plain(), before)
    try:
        edits = edits_to(text, after)
    except UsageError:
        assert not before.keys() & after.keys()
        return
    edited = apply_edits(text, edits)
    assert is_same(parse_yaml(edited, "text").plain(), after)
    assert not edits_to(edited, after)


def test_what_an_anchor_repeats_is_not_changed_at_one_place() -> None:
    text = "a: &x {b: 1}\nc: *x\n"
    with pytest.raises(UsageError, match="by hand"):
        edits_to(text, {"a": {"b": 2}, "c": {"b": 1}})


def test_a_text_that_is_no_yaml_is_refused() -> None:
    with pytest.raises(SceneError):
        edits_to(dedent("a: [1"), {"a": 1})

"""`upgrade_text`: a scene of 0.5.0 becomes one of today, and nothing but its old keys changes."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from render.errors import SceneError
from render.pipeline.catalogue import MODELS
from render.scene.document import Document
from render.scene.renames import find_renames
from render.scene.upgrade import upgrade_text
from render.scene.validation import validate
from render.scene.yaml_tree import parse_yaml
from tests.scene.test_renames import OLD_KEYS, scene_with

SHIPPED = Path(__file__).parent / "upgrade"
"""The scenes that versions 0.5.0 and 0.6.0 shipped, by version."""
OLD_CONFIGS = sorted((SHIPPED / "0.5.0").glob("*.yaml"))
CASES = {
    "a key in a block mapping": (
        """\
        dream:   # how
          every: 2     # frames
        """,
        """\
        dream:   # how
          cadence: 2     # frames
        """,
    ),
    "quoted keys": (
        """\
        "dream": {'every': 2, "first": {steps: 3}, "jitter": 4}
        """,
        """\
        "dream": {'cadence': 2, "first_frame": {steps: 3}, transforms: {"jitter": 4}}
        """,
    ),
    "JSON": (
        '{"layers":[{"layer":"blocks.10"}],"dream":{"every":2,"jitter":4}}\n',
        '{"objectives":[{"layer":"blocks.10"}],"dream":{"cadence":2,transforms: {"jitter":4}}}\n',
    ),
    "one moved key in a block mapping": (
        """\
        dream:
          octaves: 2
          jitter: {0s: 4, end: 0}   # moves
          steps: 3
        """,
        """\
        dream:
          octaves: 2
          transforms: {jitter: {0s: 4, end: 0}}   # moves
          steps: 3
        """,
    ),
    "one moved key with a value of several lines": (
        """\
        dream:
          # shifts
          jitter:
            0s: 4     # much

            end: 0    # none
          steps: 3
        """,
        """\
        dream:
          # shifts
          transforms:
            jitter:
              0s: 4     # much

              end: 0    # none
          steps: 3
        """,
    ),
    "one moved key with a value that ends in a flow mapping": (
        """\
        dream:
          jitter: max(t, 4)
          rotate:
        camera: {zoom: 1}
        """,
        """\
        dream:
          transforms:
            jitter: max(t, 4)
            rotate:
        camera: {zoom: 1}
        """,
    ),
    "one moved key whose value has a comma": (
        """\
        dream:
          jitter: max(t, 4)  # moves
        """,
        """\
        dream:
          transforms:
            jitter: max(t, 4)  # moves
        """,
    ),
    "several moved keys apart": (
        """\
        dream:
          jitter: 4     # first
          # steps of each octave
          steps: 3
          # closer and farther
          # in turn
          scale:
          - 0.9
          - 1.1
          momentum: 0.5

          rotate: 5     # last
        grade: {mean: 0.5}
        """,
        """\
        dream:
          transforms:
            jitter: 4     # first
            # closer and farther
            # in turn
            scale:
            - 0.9
            - 1.1
            rotate: 5     # last
          # steps of each octave
          steps: 3
          momentum: 0.5

        grade: {mean: 0.5}
        """,
    ),
    "moved keys in a flow mapping": (
        """\
        dream: {octaves: 1, jitter: 4, scale: [0.9, 1.1]}
        """,
        """\
        dream: {octaves: 1, transforms: {jitter: 4, scale: [0.9, 1.1]}}
        """,
    ),
    "moved keys apart in a flow mapping": (
        """\
        dream: {jitter: 4, octaves: 1, scale: [0.9, 1.1], steps: 2, rotate: 3}
        """,
        """\
        dream: {transforms: {jitter: 4, scale: [0.9, 1.1], rotate: 3}, octaves: 1, steps: 2}
        """,
    ),
    "moved keys apart in a flow mapping of several lines": (
        """\
        dream: {
          jitter: 4,      # a
          octaves: 1,     # b
          scale: [1, 2],  # c
          steps: 2,       # d
          rotate: 3       # e
        }
        """,
        """\
        dream: {
          transforms: {jitter: 4, scale: [1, 2], rotate: 3},      # a
          octaves: 1,     # b
          # c
          steps: 2       # d
                 # e
        }
        """,
    ),
    "keys in comments and strings": (
        """\
        # layers: every, jitter
        output: {path: 'segment: depth.mp4', segment: 3}  # segment
        source: {image: "dream: {every: 2}.png"}
        """,
        """\
        # layers: every, jitter
        output: {path: 'segment: depth.mp4', segment_frames: 3}  # segment
        source: {image: "dream: {every: 2}.png"}
        """,
    ),
    "overrides in comments": (
        """\
        # render s.yaml --set dream.every=2 --set 'layers.0.neuron=[0, 0]' --set seed=1
        dream: {steps: 3}  # or --set dream.jitter=4 --set network.weights=w.pth
        """,
        """\
        # render s.yaml --set dream.cadence=2 --set 'objectives.0.position=[0, 0]' --set seed=1
        dream: {steps: 3}  # or --set dream.transforms.jitter=4 --set network.weights_file=w.pth
        """,
    ),
    "anchors and aliases": (
        """\
        layers: [&a {layer: blocks.10, channels: 3, neuron: &n [0, 0]}, *a]
        dream: {jitter: &j 4, rotate: *j, gradient: {natural: &g {power: 0.3}}}
        """,
        """\
        objectives: [&a {layer: blocks.10, channels: 3, position: &n [0, 0]}, *a]
        dream: {transforms: {jitter: &j 4, rotate: *j}, gradient: {natural: &g {decay_power: 0.3}}}
        """,
    ),
    "an alias that is a moved value": (
        """\
        dream:
          octaves: &n 3
          jitter: *n
        """,
        """\
        dream:
          octaves: &n 3
          transforms: {jitter: *n}
        """,
    ),
    "anchored keys": (
        """\
        &d dream: {&e every: 2}
        follow: {mode: &m linear}
        """,
        """\
        &d dream: {&e cadence: 2}
        follow: {mode: &m blend}
        """,
    ),
    "explicit keys": (
        """\
        ? dream
        : ? every
          : 2
          ? jitter
          : 4
        """,
        """\
        ? dream
        : ? cadence
          : 2
          transforms:
            ? jitter
            : 4
        """,
    ),
    "keys without values": (
        """\
        dream: {jitter, steps: 3}
        output:
          ? segment
        """,
        """\
        dream: {transforms: {jitter}, steps: 3}
        output:
          ? segment_frames
        """,
    ),
    "a moved key without a value at the end": (
        """\
        dream:
          steps: 3
          ? jitter
        """,
        """\
        dream:
          steps: 3
          transforms:
            ? jitter
        """,
    ),
    "the name of published weights": (
        """\
        network: {name: resnet50, training: IMAGENET1K_V1}
        """,
        """\
        network: {name: resnet50, weights: IMAGENET1K_V1}
        """,
    ),
}


@pytest.mark.parametrize("old", OLD_CONFIGS, ids=lambda path: path.name)
def test_a_scene_shipped_with_0_5_0_becomes_the_one_shipped_with_0_6_0(old: Path) -> None:
    shipped = (SHIPPED / "0.6.0" / old.name).read_bytes().decode()
    assert upgrade_text(old.read_bytes().decode(), name=old.name) == shipped


def test_every_shipped_scene_is_upgraded_here() -> None:
    assert len(OLD_CONFIGS) == 8
    assert {path.name for path in OLD_CONFIGS} == {path.name for path in (SHIPPED / "0.6.0").glob("*.yaml")}


@pytest.mark.parametrize(("old", "new"), CASES.values(), ids=CASES)
def test_only_the_old_keys_change(old: str, new: str) -> None:
    assert upgrade_text(dedent(old), name="s.yaml") == dedent(new)


@pytest.mark.parametrize(("old", "new"), CASES.values(), ids=CASES)
def test_windows_line_breaks_are_kept(old: str, new: str) -> None:
    windows = dedent(old).replace("\n", "\r\n")
    assert upgrade_text(windows, name="s.yaml") == dedent(new).replace("\n", "\r\n")


@pytest.mark.parametrize(("old", "new"), CASES.values(), ids=CASES)
def test_a_last_line_without_a_line_break_is_upgraded_as_well(old: str, new: str) -> None:
    assert upgrade_text(dedent(old).rstrip(), name="s.yaml").rstrip() == dedent(new).rstrip()


@pytest.mark.parametrize("text", [new for _, new in CASES.values()], ids=CASES)
def test_a_scene_without_old_keys_is_unchanged(text: str) -> None:
    assert upgrade_text(dedent(text), name="s.yaml") == dedent(text)


def test_a_byte_order_mark_is_kept() -> None:
    assert upgrade_text("\ufefflayers: [{layer: a}]\n", name="s") == "\ufeffobjectives: [{layer: a}]\n"


@pytest.mark.parametrize("line", [line for line, _, _ in OLD_KEYS])
def test_a_scene_with_an_old_key_is_valid_after_the_upgrade(line: str) -> None:
    upgraded = upgrade_text(scene_with(line), name="s.yaml")
    assert not list(find_renames(parse_yaml(upgraded, "s.yaml").plain()))
    validate(Document(parse_yaml(upgraded, "s.yaml"), Path("s.yaml")), MODELS)


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        ("dream: {every: 2,\n cadence: 3}", "'every' was renamed to 'cadence', but 'cadence' exists", 1, 9),
        ("dream:\n  transforms: {scale: [1, 2]}\n  jitter: 3\n", "but 'transforms' exists here as well", 3, 3),
        ("source: {noise: &n {color: 1}}\ndream: {gradient: {natural: *n}}", "change it by hand", 1, 21),
        ("dream: [every: 2", "not YAML", 1, 8),
    ],
)
def test_a_scene_that_cannot_be_rewritten_is_an_error_with_a_position(
    text: str, message: str, line: int, column: int
) -> None:
    with pytest.raises(SceneError) as caught:
        upgrade_text(text, name="s.yaml")
    (problem,) = caught.value.problems
    assert message in problem.message
    assert problem.position is not None
    assert (problem.position.line, problem.position.column) == (line, column)

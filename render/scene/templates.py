"""The scenes that `render new` writes, `new/*.yaml`."""

from __future__ import annotations

import re
from pathlib import Path

from render.choices import SCENE_KINDS
from render.errors import UsageError
from render.scene.mapping import value_text
from render.text import did_you_mean, quote

FOLDER = Path(__file__).with_name("new")
SOURCES = {"photo": "source.image", "footage": "source.video"}
"""The kinds of scene that begin with a file, and the key that names it."""
PLACEHOLDER = re.compile('""  .*')
"""What stands for the file, and its comment."""


def template_text(kind: str, source: str | None = None) -> str:
    """Returns the text of a scene to begin with.

    `source` is the path of its picture or clip, relative to the scene file. Without it the text has an empty one, for
    `--set` to replace. Raises UsageError for an unknown kind, and for a source of a kind that begins with noise;
    SceneError for a path that no scene can hold.
    """
    if kind not in SCENE_KINDS:
        raise UsageError(f"there is no kind of scene {quote(kind)}{did_you_mean(kind, SCENE_KINDS)}")
    text = (FOLDER / f"{kind}.yaml").read_text(encoding="utf-8")
    if source is None:
        return text
    if kind not in SOURCES:
        raise UsageError(f"a scene of the kind {kind} begins with noise; --source is for {' and '.join(SOURCES)}")
    written = value_text(source)
    return PLACEHOLDER.sub(lambda _: written, text)

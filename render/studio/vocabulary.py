"""The names that a scene may use at a path: of networks, layers, channels, classes and files, and in expressions."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from render.media.clip import IMAGE_SUFFIXES
from render.models.registry import is_model, layer_map, model_names, model_spec
from render.scene.expressions import BEAT_NAMES, CONSTANTS, NAMES
from render.scene.field_errors import Loc
from render.scene.fields import FileField
from render.scene.functions import FUNCTIONS
from render.scene.model import SceneSpec
from render.studio.outline import Outline

MAX_ENTRIES = 5000
"""Files of a folder that are looked at."""
_VIDEO = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mts", ".gif")
_SOUND = (".mp3", ".m4a", ".wav", ".flac", ".ogg", ".opus", ".aac", ".aif", ".aiff", *_VIDEO)
SUFFIXES: Mapping[str, Sequence[str]] = {
    "picture": (*IMAGE_SUFFIXES, ".gif", ".heic"),
    "clip": _VIDEO,
    "sound": _SOUND,
    "table": (".csv", ".tsv", ".txt"),
    "weights": (".pth", ".pt", ".safetensors"),
}
"""The endings of files that are proposed, by their kind."""
_NAME_DETAILS = {
    "t": "seconds",
    "frame": "number of the frame",
    "fps": "frames per second",
    "duration": "seconds of the film",
    "beat": "beats since beat 0",
    "bar": "bars since bar 0",
    "bpm": "the tempo",
}
Named = tuple[str, str]
"""A name and what it is."""
Value = tuple[str | int, str]
"""A name or a number, and what it is."""


def network_of(outline: Outline) -> str:
    """Returns the name of the scene's network; that of the default network where the text names none that exists."""
    name = outline.values.get(("network", "name")) or outline.values.get(("network",), "")
    return name if name and is_model(name) else str(SceneSpec.model_fields["network"].default)


def names_at(path: Loc, outline: Outline) -> Iterator[Value]:
    """Yields networks, and the names of the scene's network, where a path wants one; blocks before other layers."""
    keys = tuple(step for step in path if isinstance(step, str))
    match keys:
        case ("network",) | ("network", "name"):
            yield from ((name, f"{model_spec(name).accuracy:.1f} % top-1") for name in model_names())
        case ("network", "weights"):
            yield from ((name, "published weights") for name in model_spec(network_of(outline)).published_weights)
        case ("objectives", "layer" | "layers"):
            yield from _layers(network_of(outline))
        case ("objectives", "class" | "classes"):
            yield from ((name, "") for name in dict.fromkeys(model_spec(network_of(outline)).classes))
        case ("objectives", "channels"):
            yield from _channels(network_of(outline), outline.values.get((*path[:2], "layer"), ""))


def _layers(network: str) -> Iterator[Named]:
    layers = layer_map(network)
    for name in dict.fromkeys((*layers.blocks, *layers.layers)):
        info = layers.layers[name]
        stride = "" if info.stride is None else f", stride {info.stride}"
        yield name, f"{info.channels} channels{stride}"


def _channels(network: str, layer: str) -> Iterator[Value]:
    info = layer_map(network).layers.get(layer)
    if info is not None:
        yield from ((number, f"of {info.channels}") for number in range(info.channels))


def expression_names(outline: Outline) -> Iterator[Named]:
    """Yields the names of expressions: signals, times, constants, and functions with their opening parenthesis."""
    yield from ((name, "signal") for name in outline.keys.get(("signals",), ()))
    names = (*NAMES, *BEAT_NAMES) if "bpm" in outline.keys.get((), ()) else NAMES
    yield from ((name, _NAME_DETAILS[name]) for name in names)
    yield from ((name, f"{value:.6g}") for name, value in CONSTANTS.items())
    yield from ((f"{name}(", f"{name}({', '.join(each.parameters)})") for name, each in FUNCTIONS.items())


def files(folder: Path, typed: str, mark: FileField) -> Iterator[Named]:
    """Yields the folders and files of a kind in the scene's folder, or in the folder of it that `typed` begins with.

    Nothing outside of the scene's folder is listed, whatever is typed or linked.
    """
    yield from ((word, "") for word in mark.words)
    if typed.startswith("/"):
        return
    inner = typed.rpartition("/")[0]
    prefix = f"{inner}/" if inner else ""
    try:
        root = folder.resolve()
        listed = (root / inner).resolve()
        if not listed.is_relative_to(root):
            return
        with os.scandir(listed) as entries:
            found = sorted(islice(entries, MAX_ENTRIES), key=lambda entry: entry.name)
    except (OSError, ValueError):  # a folder that cannot be read has nothing to propose
        return
    yield from _listed(found, prefix, root=root, suffixes=SUFFIXES[mark.kind])
    if mark.kind == "clip":
        yield from ((f"{prefix}{pattern}", "pictures") for pattern in _patterns(entry.name for entry in found))


def _listed(found: Iterable[os.DirEntry[str]], prefix: str, *, root: Path, suffixes: Sequence[str]) -> Iterator[Named]:
    for entry in found:
        if entry.name.startswith(".") or (entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(root)):
            continue
        if entry.is_dir():
            yield f"{prefix}{entry.name}/", "folder"
        elif entry.name.lower().endswith(tuple(suffixes)) and entry.is_file():
            yield f"{prefix}{entry.name}", ""


def _patterns(names: Iterable[str]) -> Iterator[str]:
    """Yields the patterns of numbered pictures, each once: `%04d.png`."""
    numbered = (re.fullmatch(r"(.*?)([0-9]+)(\.\w+)", name) for name in names)
    found = [match for match in numbered if match is not None and match[3].lower() in IMAGE_SUFFIXES]
    patterns = (f"{match[1]}%0{len(match[2])}d{match[3]}" for match in found)
    yield from (pattern for pattern in dict.fromkeys(patterns) if not re.search(r"%.*%", pattern))

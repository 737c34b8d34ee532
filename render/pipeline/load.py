"""From a scene file, or a film that embeds one, to a Scene: complete, checked, its files located."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any

from render.errors import SceneError, SceneFileError, StorageError, UsageError
from render.media import audio, clip, ffmpeg, image
from render.media.table import read_table
from render.media.tracks import TrackError
from render.pipeline import embedded
from render.pipeline.catalogue import MODELS, unsupported_octave, unsupported_picture
from render.pipeline.scene import Scene, complete
from render.pipeline.sources import file_identities
from render.pipeline.warnings import find_warnings
from render.scene import document, validation
from render.scene.document import Document, Override, apply_overrides
from render.scene.field_errors import MAX_PROBLEMS, Loc
from render.scene.fields import FileField
from render.scene.model import SceneSpec
from render.scene.yaml_tree import parse_yaml
from render.system.checksum import sha256
from render.text import Problem, quote, similar_file

MAX_SCALE = 8
MAX_RENAMED = 100
"""Files beside a film among which one that it was made from is found by its checksum."""
NOWHERE_ELSE: Mapping[str, str] = MappingProxyType({})
TRACK_KEYS: dict[Loc, Loc] = {("source", "video"): ("source", "track"), ("output", "audio"): ("output", "audio_track")}
"""From the key that names a file to the key that chooses its track."""


def load(
    source: str | PathLike[str] | Mapping[str, Any],
    overrides: Sequence[Override] = (),
    *,
    scale: float = 1.0,
    files: Mapping[str, str] = NOWHERE_ELSE,
) -> Scene:
    """Loads a scene and checks it completely.

    The source is the path of a scene file, or of a film that embeds one (recognised by the suffix), or the scene itself
    as a mapping, whose paths are relative to the current folder. `overrides` are (option, dotted key, YAML text), such
    as ("--set", "camera.zoom", "1.02"). `scale` multiplies size and grain; a smaller film lacks the finest octaves,
    a larger one has more. `files` are the paths of files that the scene names, by key (`source.video`), where they are
    not those of the scene. Raises SceneError with everything that is wrong in the scene, and for sources of another
    type, SceneFileError for named files that are missing or unusable, UsageError for a bad override or scale.
    """
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale <= MAX_SCALE:
        raise UsageError(f"a scale is above 0 and at most {MAX_SCALE}, not {scale}")
    if isinstance(overrides, str) or not isinstance(overrides, Sequence):
        raise SceneError([Problem(f"overrides are a list of (option, dotted key, YAML text), not {quote(overrides)}")])
    return _complete(_document(source, overrides), scale, files)


def load_text(
    text: str,
    path: Path,
    overrides: Sequence[Override] = (),
    *,
    scale: float = 1.0,
    files: Mapping[str, str] = NOWHERE_ELSE,
) -> Scene:
    """Loads the text of a scene file that was at `path`, which names positions and locates relative files.

    Raises as `load`.
    """
    root = apply_overrides(parse_yaml(text, str(path)), overrides)
    return _complete(Document(root, path), scale, files)


def _document(source: object, overrides: Sequence[Override]) -> Document:
    if isinstance(source, Mapping):
        return document.document_of(source, overrides)
    path = os.fspath(source) if isinstance(source, str | PathLike) else None
    if not isinstance(path, str):
        raise SceneError([Problem(f"a scene is loaded from a path or a mapping, not from {quote(source)}")])
    read = embedded.read_film if embedded.is_film(Path(path)) else document.read_document
    return read(Path(path), overrides)


def _complete(written: Document, scale: float, files: Mapping[str, str]) -> Scene:
    """Returns the scene of a document, checked. Raises as `load`."""
    spec = validation.validate(written, MODELS)
    paths = {
        keys: Path(files.get(".".join(map(str, keys))) or _located(written, keys, name))
        for keys, name, _ in spec.files()
    }
    found = {path: file_identities(path) for path in paths.values()}
    _check_files(spec, paths, written)
    scene = complete(spec, paths=paths, stem=written.path.stem, scale=scale, written=written)
    _check_clip_audio(scene, written)
    _check_network(scene, written)

    def revise(override: Override) -> Scene:
        return _complete(replace(written, root=document.apply_overrides(written.root, [override])), scale, files)

    warnings = tuple(find_warnings(scene, written))
    return replace(scene, metadata=written.film, warnings=warnings, revise=revise, found=found)


def _located(written: Document, keys: Loc, name: str) -> Path:
    """The path of a named file; one that a film names is beside it, whatever folder the film names."""
    folder = written.folder(keys)
    if written.film is None or not written.is_in_file(keys):
        return folder / name
    path = folder / PurePath(name).name
    files = written.film.get("files")
    checksum = files.get(".".join(map(str, keys))) if isinstance(files, dict) else None
    return path if os.path.lexists(path) else _same_file(path, checksum) or path


def _same_file(path: Path, checksum: object) -> Path | None:
    """The file of another name beside a path, of the same suffix, that has a checksum; None when there is none."""
    try:
        others = sorted(file for file in path.parent.iterdir() if file.suffix == path.suffix and file.is_file())
        return next((file for file in others[:MAX_RENAMED] if sha256(file) == checksum), None)
    except (OSError, StorageError):  # a folder that cannot be read has no such file
        return None


def _check_files(spec: SceneSpec, paths: Mapping[Loc, Path], written: Document) -> None:
    """Raises SceneFileError with everything that is wrong with the named files, each where the scene names it."""
    problems: list[Problem] = []
    checked: set[tuple[Path, str]] = set()  # a guide or mask may be named by several objectives
    for keys, _, mark in spec.files():
        file = paths[keys]
        if (file, mark.kind) in checked or len(problems) == MAX_PROBLEMS:
            continue
        checked.add((file, mark.kind))
        try:
            _check_file(file, mark, keys, spec=spec)
        except ffmpeg.KilledError:
            raise
        except StorageError as error:
            hint = "" if os.path.lexists(file) else similar_file(file)
            if written.film is not None:
                key = ".".join(map(str, keys))
                hint = f"; the film was made from a file of that name, --set {key}=PATH says where it is"
            position = TRACK_KEYS.get(keys, keys) if isinstance(error, TrackError) else keys
            problems.append(written.problem(f"{error}{hint}", position))
    if problems:
        raise SceneFileError(problems)


def _check_file(file: Path, mark: FileField, keys: Loc, *, spec: SceneSpec) -> None:
    match mark.kind:
        case "picture":
            image.check_image(file)
        case "weights":
            from render.models.network import check_weights  # imports torch

            check_weights(spec.network.name, file)
        case "clip":
            clip.probe_clip(file, track=spec.source.track)
        case "sound":
            signal = spec.signals.get(str(keys[1])) if keys[0] == "signals" else None
            number = None if signal is None else signal.audio_track
            audio.require_audio(file, spec.output.audio_track if keys[0] == "output" else number)
        case "table":
            read_table(file, spec.signals[str(keys[1])].column)


def _check_clip_audio(scene: Scene, written: Document) -> None:
    """Raises SceneFileError when the clip has no audio track of the number that the scene names."""
    number = scene.output.audio_track
    if number is None or scene.output.audio != "source" or scene.clip is None:
        return
    try:
        if scene.clip.number is not None:
            raise StorageError("pictures have no sound; output.audio names a file")
        audio.probe_audio(scene.clip.path, number, video_track=scene.clip.track)
    except ffmpeg.KilledError:
        raise
    except StorageError as error:
        raise SceneFileError([written.problem(str(error), ("output", "audio_track"))]) from None


def _check_network(scene: Scene, written: Document) -> None:
    """Raises SceneError when the network cannot see an octave, or a guide or style at the size it is looked at."""
    if message := unsupported_octave(scene.spec, scene.size):
        hint = "dream.octaves: 1 leaves only the picture itself"
        raise SceneError([written.problem(f"{message}; {hint}", ("size",))])
    for i, objective in enumerate(scene.spec.objectives):
        for key in ("guide", "style"):
            keys = ("objectives", i, key)
            if keys in scene.paths:
                size = image.fitted_size(scene.paths[keys], scene.reference_side)
                if message := unsupported_picture(scene.spec.network, objective, size):
                    raise SceneError([written.problem(message, keys)])

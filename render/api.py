"""The scene's way into the renderer: `load` a file, iterate over its `frames`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from render import again, loop, machine, sources, trial
from render.dream import networks, registry, tiles
from render.dream.anatomy import anatomy, unseen
from render.dream.ascent import OnStep, octaves
from render.dream.networks import Network
from render.errors import SceneError, StorageError, UsageError
from render.film import clip, ffmpeg, sound, source
from render.film.encoder import Format
from render.machine import PRECISIONS, Machine
from render.scene import document
from render.scene.document import Document, Override
from render.scene.faults import MOST
from render.scene.layers import Known
from render.scene.model import Scene
from render.scene.output import PICTURES
from render.wishes import ascent

DEFAULT_SIZE = (512, 512)
CACHED = 4 * 2**30
"""Bytes; on a CPU, tiles are as fast as what takes more memory (3840x2160: 45 and 43 s)."""


def load(path: str | Path, overrides: Sequence[Override] = (), scale: float = 1.0) -> Scene:
    """The scene of a YAML file, checked and complete: size, rate, duration and output are written out.

    Of a film, the scene that it carries, so that it can be made again; it is looked for by its suffix.
    `overrides` are (option, dotted key, YAML text), such as ("--set", "camera.zoom", "1.02"). `scale` shrinks size,
    jitter and grain together. Raises SceneError with everything that is wrong, StorageError for files that are missing
    or not what they should be.
    """
    if not 0 < scale <= 8:
        raise UsageError(f"a scale is above 0 and at most 8, not {scale:g}")
    read = again.read if again.is_film(Path(path)) else document.read
    written = read(Path(path), overrides)
    scene = document.validate(written, NETWORKS)
    _check_files(scene, written)
    scene = _timed(scene, written)
    complete = scene.concrete(scene.size or _natural_size(scene), Path(path).stem, scale)
    if told := unseen_octave(complete):
        hint = "dream.octaves: 1 leaves only the picture itself"
        raise SceneError([written.problem(f"{told}; {hint}", ("size",))])
    _check_guides(complete, written)
    return complete


def frames(
    scene: Scene, device: str = "auto", precision: str = "auto", on_step: OnStep | None = None
) -> Iterator[tuple[int, Tensor]]:
    """Every frame of a scene, without a file being written: (index, 1x3xHxW float32 RGB in [0, 1] on the device).

    `device` is auto, cpu, cuda or mps; `precision` auto, float32 or bfloat16. `on_step` is called with the octave,
    the step and the objective after each step of ascent. Raises MissingError for what the machine lacks.
    """
    for index, picture, _ in loop.frames(scene, network(scene, settled(scene, device, precision)), on_step=on_step):
        yield index, picture


def settled(
    scene: Scene,
    device: str = "auto",
    precision: str = "auto",
    quiet: bool = False,
    before: Mapping[str, Any] | None = None,
) -> Machine:
    """The machine by the names of the command line; what a film depends on is as it was `before` (Machine.describe).

    Else `auto` on a CPU is the precision that is faster for the scene's network, which is tried once and remembered.
    Raises UsageError for unknown names, MissingError for what the machine lacks.
    """
    before = before or {}
    chosen = machine.choose(device, precision, before.get("threads"), before.get("flow_threads"))
    if precision != "auto" or chosen.device.type != "cpu":
        return chosen
    known = before.get("precision")
    if known not in PRECISIONS:
        known = trial.fastest(scene, chosen, lambda machine: network(scene, machine, quiet))
    return replace(chosen, precision=known)


def form(scene: Scene) -> Format:
    """What the film's file is. Raises UsageError when the scene is not complete."""
    if scene.size is None or scene.output.path is None or scene.output.codec is None:
        raise UsageError("the scene is not complete; load() makes it so")
    return Format(scene.output.codec, scene.fps, scene.size, scene.output.crf, scene.output.depth)


def span(scene: Scene) -> tuple[int, int]:
    """The frames (first, one after last) that a scene is about: all, or those of the film that it was read from."""
    match (scene.film or {}).get("frames"):
        case [int(first), int(last)]:
            return first, last
    return 0, scene.length


def network(scene: Scene, chosen: Machine, quiet: bool = False) -> Network:
    """The scene's network, on the machine; weights that are not here are downloaded, with a bar unless `quiet`.

    Raises MissingError when they cannot be, StorageError when they do not fit.
    """
    wanted = scene.network
    file = None if wanted.weights is None else scene.locate(wanted.weights, ("network", "weights"))
    made = networks.load(wanted.name, chosen.device, chosen.dtype, file, wanted.training, quiet)
    made.tile = _tile(scene, made)
    return made


def tile(before: Mapping[str, Any], otherwise: int | None) -> int | None:
    """The side of the tiles that a film had `before`, None for none."""
    found = before.get("tile", otherwise)
    return found if found is None or (type(found) is int and found >= tiles.SMALLEST) else otherwise


def _tile(scene: Scene, network: Network) -> int | None:
    """The side of the tiles that the scene asks for, or that fit into the memory."""
    if isinstance(scene.dream.tile, int):
        return scene.dream.tile
    if scene.dream.tile == "off" or scene.size is None:
        return None
    names = _asked(scene, network)
    free = machine.free_memory(network.device)
    if network.device.type == "cpu":
        free = min(free, CACHED)
    size = (scene.size[1], scene.size[0])
    return tiles.fitting(size, [network.layers[name] for name in names], network.memory(names), free)


def needed(scene: Scene, network: Network) -> float:
    """Bytes that a gradient of the scene takes in the network's tiles; 0 when there can be none."""
    assert scene.size is not None, "a complete scene knows its size"
    names = _asked(scene, network)
    if not tiles.can_be_cut([network.layers[name] for name in names]):
        return 0
    width, height = (min(side, network.tile or side) for side in scene.size)
    return network.memory(names) * width * height


def _asked(scene: Scene, network: Network) -> set[str]:
    """The layers that a scene asks for."""
    return {layer.layer or network.logits for layer in scene.layers}


def unseen_octave(scene: Scene) -> str | None:
    """Which octave of a complete scene its network cannot see: too small, or not of the only size that it sees."""
    assert scene.size is not None, "a complete scene knows its size"
    name, training, (width, height) = scene.network.name, scene.network.training, scene.size
    asked = {layer.layer or anatomy(name, training).logits for layer in scene.layers}
    plans = [octaves(height, width, ascent(scene, scene.at(index))) for index in {0, scene.length - 1}]
    size = unseen(name, training, asked, sorted({size for plan in plans for size, _ in (plan[0], plan[-1])}))
    if size is None:
        return None
    octave = "" if size == (height, width) else f", an octave of {width}x{height}"
    trained = registry.blueprint(name, training).side
    return f"{name} cannot see a picture of {size[1]}x{size[0]}{octave}; it was trained on {trained}x{trained}"


def _check_files(scene: Scene, written: Document) -> None:
    """Raises StorageError with all that is wrong with the files that the scene names, and where it names them."""
    problems: list[str] = []
    known: set[tuple[Path, str]] = set()  # a guide or a mask may be that of many layers
    for path, name, mark in scene.files():
        file = scene.locate(name, path)
        if (file, mark.kind) in known or len(problems) == MOST:
            continue
        known.add((file, mark.kind))
        try:
            match mark.kind:
                case "picture":
                    source.picture_size(file)
                case "weights":
                    networks.check_weights(scene.network.name, file)
                case "clip":
                    clip.probe(file)
                case "sound":
                    sound.required(file)
        except ffmpeg.KilledError:
            raise
        except StorageError as error:
            hint = "" if os.path.lexists(file) else document.neighbour(file)
            if scene.film is not None:
                key = ".".join(map(str, path))
                hint = f"; the film was made from a file of that name, --set {key}=PATH says where it is"
            problems.append(str(written.problem(f"{error}{hint}", path)))
    if problems:
        raise StorageError("\n".join(problems))


def _timed(scene: Scene, written: Document) -> Scene:
    """The scene at its clip's rate and as long as it, where it does not say otherwise.

    Raises StorageError when the clip ends before the film starts, SceneError for a track that is wrong at some frame.
    """
    video = sources.footage(scene)
    if video is None:
        return scene
    timed = scene.timed(video.fps, video.duration)
    before = timed.start / timed.fps
    if before >= video.duration:
        ends = f"{video.path} ends at {float(video.duration):.6g} s, the film cannot start at {float(before):.6g} s"
        raise StorageError(str(written.problem(ends, ("source", "start"))))
    timed = scene.timed(video.fps, video.duration - before)
    sources.heard(timed, 0, timed.length)  # for its errors
    document.check(written, timed)
    return timed


def _check_guides(scene: Scene, written: Document) -> None:
    """Raises SceneError when the network cannot see a guide at the size it is looked at."""
    assert scene.size is not None, "a complete scene knows its size"
    wanted = scene.network
    for i, layer in enumerate(scene.layers):
        if layer.guide is None or layer.layer is None:
            continue
        path = ("layers", i, "guide")
        width, height = source.fitted_size(scene.locate(layer.guide, path), max(scene.size))
        if unseen(wanted.name, wanted.training, {layer.layer}, [(height, width)]):
            told = f"{wanted.name} cannot see this guide as far as {layer.layer}, at {width}x{height} pixels"
            raise SceneError([written.problem(told, path)])


def _natural_size(scene: Scene) -> tuple[int, int]:
    """The picture's or the clip's size, made even for a film's codec, or the default."""
    picture, video = sources.picture(scene), sources.footage(scene)
    if video is not None:
        width, height = video.size
    elif picture is not None:
        width, height = source.picture_size(picture)
    else:
        return DEFAULT_SIZE
    return (width, height) if scene.output.chosen_codec in PICTURES else (width // 2 * 2, height // 2 * 2)


class _Networks(Mapping[str, Known]):
    """What a scene may name of each network, found out when it is asked for."""

    def __getitem__(self, name: str) -> Known:
        if name not in registry.names():
            raise KeyError(name)
        blueprint = registry.blueprint(name)
        return Known(anatomy(name).layers, blueprint.classes, blueprint.trainings)

    def __contains__(self, name: object) -> bool:
        return name in registry.names()

    def __iter__(self) -> Iterator[str]:
        return iter(registry.names())

    def __len__(self) -> int:
        return len(registry.names())


NETWORKS = _Networks()

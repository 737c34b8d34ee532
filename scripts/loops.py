"""How loops close: the join, and sharpness and contrast in the blend, beside a plain cross-fade of the same film."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import skimage.data
import torch
from PIL import Image
from torch import Tensor

from render import Options, load
from render.analysis.contact_sheet import cell, save_sheet
from render.analysis.metrics import camera_motion, sharpness, warp_error
from render.motion.propagate import StillInterval, StillPropagator
from render.pipeline import loop
from render.pipeline.closing import loop_propagator
from render.pipeline.engine import Engine, open_engine
from render.pipeline.inputs import propagator
from render.pipeline.loop import Dreamer, State, dreamed_alone
from render.pipeline.plan import plan
from render.pipeline.scene import Scene

FRAMES, SIDE, SHOWN = 72, 160, (24, 12, 6, 3, 1, 0, -1)
"""Length and side of the films, and the frames of a sheet, counted from the end."""
ZOOM = {"zoom": 1.02}
KEYFRAMED = {"zoom": {"0s": 1.005, "50%": {"value": 1.04, "ease": "smooth"}, "end": {"value": 1.005, "ease": "smooth"}}}
CASES: Mapping[str, Mapping[str, Any]] = {
    "zoom in": {"camera": ZOOM},
    "zoom out": {"camera": {"zoom": 0.98}},
    "rotation": {"camera": {"zoom": 1, "rotate": 1.5}},
    "pan, wrap": {"camera": {"zoom": 1, "pan": [0.01, 0], "border": "wrap"}},
    "still": {"camera": {"zoom": 1}},
    "zoom and rotation": {"camera": {"zoom": 1.02, "rotate": "60*sin(tau*t/duration) /s"}},
    "keyframed zoom": {"camera": KEYFRAMED},
    "cadence 2": {"camera": ZOOM, "dream": {"cadence": 2}},
    "cadence 3": {"camera": ZOOM, "dream": {"cadence": 3}},
    "cadence 5, 72 frames": {"camera": ZOOM, "dream": {"cadence": 5}},
    "picture": {"camera": {"zoom": 1.01}, "source": {"image": "cat.png"}},
    "one second": {"camera": ZOOM, "duration": 24, "loop": {}},
    "tour": {
        "camera": ZOOM,
        "objectives": [{"tour": "classes", "classes": ["lion", "daisy", "volcano"], "hold": 16, "fade": 8}],
    },
    "class weights": {
        "camera": ZOOM,
        "objectives": [
            {"class": ["lion"], "weight": "0.5 + 0.5*cos(tau*t/duration)"},
            {"class": ["daisy"], "weight": "0.5 - 0.5*cos(tau*t/duration)"},
        ],
    },
}
HEADER = f"{'':<22}{'PSNR':>7}{'join':>7}{'largest':>9}{'sharpness':>14}{'contrast':>14}"


class Film(NamedTuple):
    """A film's frames, its frame N as it is dreamed, and its cross-fade, empty when none was made."""

    scene: Scene
    frames: list[Tensor]
    repeated: Tensor
    faded: list[Tensor]


def main() -> None:
    """Dreams, measures and prints; a sheet has the loop, and the cross-fade below it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], help="cases; default: all")
    parser.add_argument("--sheet", type=Path, help="folder for a sheet of each case")
    parser.add_argument("--side", type=int, default=SIDE)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--fade", action="store_true", help="also a plain cross-fade of each film")
    options = parser.parse_args()
    print("E_warp at the join and its largest are relative to the median of the film\n" + HEADER)
    for name in options.cases or CASES:
        size = [options.side, options.side]
        film = _film({"size": size, "seed": options.seed, **_settings(name)}, has_fade=options.fade)
        _print(name, film, film.frames)
        if film.faded:
            _print("  plain cross-fade", film, film.faded)
        if options.sheet is not None:
            _save_sheet(film, options.sheet / f"{name.replace(' ', '-').replace(',', '')}.png")


def _settings(name: str) -> dict[str, Any]:
    scene = {"duration": FRAMES, "loop": {"blend": 24}, "objectives": [{"layer": "blocks.10"}], **CASES[name]}
    if "source" in scene:
        picture = Path(tempfile.mkdtemp()) / "cat.png"
        photo: Callable[[], Any] = skimage.data.chelsea  # without types
        Image.fromarray(photo()).crop((75, 0, 375, 300)).save(picture)
        scene["source"] = {"image": str(picture)}
    return scene


def _film(settings: dict[str, Any], *, has_fade: bool) -> Film:
    scene = load(settings)
    engine = open_engine(plan(scene, Options(device="cpu", precision="float32")), autotune=False)
    made = list(loop.frames(engine))
    length, start, cadence = scene.length, scene.spec.blend_start, scene.spec.dream.cadence
    last = (length - 1) // cadence * cadence
    still = propagator(engine.plan, torch.device("cpu"))
    assert isinstance(still, StillPropagator)
    closing = loop_propagator(still, scene, partial(dreamed_alone, engine, None), device=still.initial().device)
    interval = StillInterval(range(last + 1, length + 1))
    _, _, repeated = next(Dreamer(engine, closing, None).dreamed(iter([interval]), made[last].state))
    frames, faded = [frame.picture for frame in made], []
    if has_fade and cadence == 1:
        faded = frames[: start + 1] + _cross_fade(engine, closing, made[start].state)
    return Film(scene, frames, repeated=repeated.canvas, faded=faded)


def _cross_fade(engine: Engine, closing: Any, state: State) -> list[Tensor]:
    """The film from the start of its blend on, dreamed as if nothing repeated, and mixed with the lead-in."""
    blend, mixed = closing.blend, []
    intervals = (StillInterval(range(index, index + 1)) for index in range(blend.start + 1, blend.stop))
    for interval, _, later in Dreamer(engine, closing.still, None).dreamed(intervals, state):
        share = (interval.index - blend.start) / (blend.stop - blend.start)
        mixed.append(torch.lerp(later.canvas, closing.lead(interval.index), share))
    return mixed


def _print(name: str, film: Film, frames: list[Tensor]) -> None:
    motions = list(camera_motion(film.scene, range(film.scene.length + 1)))[1:]
    following = [*frames[1:], frames[0]]
    errors = [
        warp_error(before, after, motion=motion.short)
        for before, after, motion in zip(frames, following, motions, strict=True)
        if motion.short is not None
    ]
    middle = median(errors[:-1])
    psnr = -10 * np.log10(max(float((film.repeated - film.frames[0]).square().mean()), 1e-12))
    ranges = [
        f"{min(values) / median(values):.3f}-{max(values) / median(values):.3f}"
        for values in ([sharpness(each) for each in frames], [float(each.std((2, 3)).mean()) for each in frames])
    ]
    figure = f"{psnr:>7.1f}" if frames is film.frames else f"{'':>7}"
    print(
        f"{name:<22}{figure}{errors[-1] / middle:>7.2f}{max(errors) / middle:>9.2f}{ranges[0]:>14}{ranges[1]:>14}",
        flush=True,
    )


def _save_sheet(film: Film, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    length = film.scene.length
    cells = [
        cell(frames[(length - before) % length], f"{kind} {(length - before) % length}")
        for kind, frames in (("loop", film.frames), ("fade", film.faded))
        if frames
        for before in SHOWN
    ]
    save_sheet(cells, path, columns=len(SHOWN))


if __name__ == "__main__":
    main()

"""How loops close: the join, and sharpness and contrast of the film and of its blend, beside a plain cross-fade."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import skimage.data
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from render import Options, load
from render.analysis.contact_sheet import cell, save_sheet
from render.analysis.metrics import camera_motion, sharpness, warp_error
from render.motion.closing import LoopPropagator
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
    "cadence 5, 75 frames": {"camera": ZOOM, "dream": {"cadence": 5}, "duration": 75, "loop": {"blend": 25}},
    "picture": {"camera": {"zoom": 1.01}, "source": {"image": "cat.png"}},
    "one second": {"camera": ZOOM, "duration": 24, "loop": {}},
    "blend of 2 s": {"camera": ZOOM, "loop": {"blend": 48}},
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
HEADER = f"{'':<22}{'PSNR':>7}{'join':>7}{'largest':>9}" + "".join(
    f"{of:>14}" for of in ("sharpness", "contrast", "of blend", "of blend")
)


class Mixed(NamedTuple):
    """A dreamed frame of a blend: the film there, dreamed as if nothing repeated, and the lead-in, with its share."""

    frame: int
    own: Tensor
    lead: Tensor
    share: float


class Film(NamedTuple):
    """A film's frames, its frame N as it is dreamed, and what its blend is made of."""

    scene: Scene
    frames: list[Tensor]
    repeated: Tensor
    blend: list[Mixed]

    def cross_faded(self) -> list[Tensor]:
        """The film with a plain cross-fade in place of its blend; only of a film that is dreamed at every frame."""
        start, length = self.blend[0].frame, self.scene.length
        shares = ((each.frame - start) / (length - start) for each in self.blend)
        fades = [torch.lerp(each.own, each.lead, share) for each, share in zip(self.blend, shares, strict=True)]
        return self.frames[:start] + fades


def contrast(frame: Tensor) -> float:
    """The mean standard deviation of the channels."""
    return float(frame.std((2, 3)).mean())


def main() -> None:
    """Dreams, measures and prints; a sheet has the loop, and the cross-fade below it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], help="cases; default: all")
    parser.add_argument("--sheet", type=Path, help="folder for a sheet of each case")
    parser.add_argument("--side", type=int, default=SIDE)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--fade", action="store_true", help="also a plain cross-fade of each film")
    options = parser.parse_args()
    print("relative to the film's median; E_warp: to that of steps to dreamed frames; of blend: to what is mixed there")
    print(HEADER)
    for name in options.cases or CASES:
        size = [options.side, options.side]
        film = _film({"size": size, "seed": options.seed, **_settings(name)})
        _print(name, film, film.frames)
        faded = film.cross_faded() if options.fade and film.scene.spec.dream.cadence == 1 else []
        if faded:
            _print("  plain cross-fade", film, faded)
        if options.sheet is not None:
            _save_sheet(film, faded, options.sheet / f"{name.replace(' ', '-').replace(',', '')}.png")


def _settings(name: str) -> dict[str, Any]:
    scene = {"duration": FRAMES, "loop": {"blend": 24}, "objectives": [{"layer": "blocks.10"}], **CASES[name]}
    if "source" in scene:
        picture = Path(tempfile.mkdtemp()) / "cat.png"
        photo: Callable[[], Any] = skimage.data.chelsea  # without types
        Image.fromarray(photo()).crop((75, 0, 375, 300)).save(picture)
        scene["source"] = {"image": str(picture)}
    return scene


def _film(settings: dict[str, Any]) -> Film:
    scene = load(settings)
    engine = open_engine(plan(scene, Options(device="cpu", precision="float32")), autotune=False)
    made = list(loop.frames(engine))
    length, cadence = scene.length, scene.spec.dream.cadence
    last = (length - 1) // cadence * cadence
    still = propagator(engine.plan, torch.device("cpu"))
    assert isinstance(still, StillPropagator)
    closing = loop_propagator(still, scene, partial(dreamed_alone, engine, None), device=still.initial().device)
    interval = StillInterval(range(last + 1, length + 1))
    _, _, repeated = next(Dreamer(engine, closing, None).dreamed(iter([interval]), made[last].state))
    blend = _blend(engine, closing, made[scene.spec.blend_start].state)
    return Film(scene, [frame.picture for frame in made], repeated=repeated.canvas, blend=blend)


def _blend(engine: Engine, closing: LoopPropagator, state: State) -> list[Mixed]:
    """What the blend is made of, from its first frame on; `state` is that of the film there."""
    scene = engine.plan.scene
    indices = [index for index in range(scene.spec.blend_start, scene.length) if index in closing.still.dreamed]
    intervals = (StillInterval(range(before + 1, index + 1)) for before, index in pairwise(indices))
    dreamed = Dreamer(engine, closing.still, None).dreamed(intervals, state)
    canvases = [state.canvas, *(later.canvas for _, _, later in dreamed)]
    shares = [float(closing.blend.share(index, at=index).mean()) for index in indices]
    return [
        Mixed(i, own, lead=closing.lead(i), share=share)
        for i, own, share in zip(indices, canvases, shares, strict=True)
    ]


def _print(name: str, film: Film, frames: list[Tensor]) -> None:
    motions = list(camera_motion(film.scene, range(film.scene.length + 1)))[1:]
    following = [*frames[1:], frames[0]]
    errors = [
        warp_error(before, after, motion=motion.short)
        for before, after, motion in zip(frames, following, motions, strict=True)
        if motion.short is not None
    ]
    cadence = film.scene.spec.dream.cadence
    middle = median(errors[cadence - 1 : -1 : cadence])  # of the steps to dreamed frames, one of which is the join
    psnr = -10 * np.log10(max(float((film.repeated - film.frames[0]).square().mean()), 1e-12))
    measured = [[measure(each) for each in frames] for measure in (sharpness, contrast)]
    ranges = [_range(np.array(values) / median(values)) for values in measured]
    ranges += [_range(_of_blend(film, frames, measure)) for measure in (sharpness, contrast)]
    figure = f"{psnr:>7.1f}" if frames is film.frames else f"{'':>7}"
    columns = "".join(f"{each:>14}" for each in ranges)
    print(f"{name:<22}{figure}{errors[-1] / middle:>7.2f}{max(errors) / middle:>9.2f}{columns}", flush=True)


def _of_blend(film: Film, frames: list[Tensor], measure: Callable[[Tensor], float]) -> NDArray[np.float64]:
    """A measure of the blend's dreamed frames, relative to those that are mixed there, each with its share."""
    expected = [(1 - each.share) * measure(each.own) + each.share * measure(each.lead) for each in film.blend]
    return np.array([measure(frames[each.frame]) for each in film.blend]) / expected


def _range(values: NDArray[np.float64]) -> str:
    return f"{values.min():.3f}-{values.max():.3f}"


def _save_sheet(film: Film, faded: list[Tensor], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    length = film.scene.length
    cells = [
        cell(frames[(length - before) % length], f"{kind} {(length - before) % length}")
        for kind, frames in (("loop", film.frames), ("fade", faded))
        if frames
        for before in SHOWN
    ]
    save_sheet(cells, path, columns=len(SHOWN))


if __name__ == "__main__":
    main()

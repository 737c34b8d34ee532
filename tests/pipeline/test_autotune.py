"""The precision that is chosen: the faster one, measured once, and the same whenever a film is resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from render import Callbacks, Options, load, render
from render.choices import PRECISIONS
from render.dream import objectives
from render.dream.ascent import AscentSettings, dream
from render.dream.gradients import natural
from render.dream.tiled import TiledNetwork
from render.dream.transforms import TransformRange
from render.errors import Interrupted
from render.film.metadata import read_metadata
from render.models.network import Network, load_network
from render.pipeline import autotune
from render.pipeline.engine import open_engine
from render.pipeline.plan import plan
from render.pipeline.scene import Scene
from render.system.device import torch_dtype
from tests.conftest import photo_tensor

SCENE = """
size: [64, 48]
duration: 6
objectives: [{layer: blocks.1}, {statistics: none}]
dream: {octaves: 1, steps: 1, transforms: {jitter: 4}}
output: {segment_frames: 2}
"""
ON_CPU = Options(device="cpu")
measure = autotune._measure  # before it is replaced for the other tests


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a scene and a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "s.yaml").write_text(SCENE)
    return tmp_path


@pytest.fixture(autouse=True)
def trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trial, which other tests do without."""
    monkeypatch.setattr(autotune, "_measure", measure)


def fake_times(monkeypatch: pytest.MonkeyPatch, seconds: dict[str, float]) -> list[str]:
    """Replaces the measured step times; returns the list of the precisions that are tried."""
    tried: list[str] = []

    def step(scene: Scene, network: Network) -> Callable[[], float]:
        name = str(network.dtype).removeprefix("torch.")
        tried.append(name)
        return lambda: seconds[name]

    monkeypatch.setattr(autotune, "_step", step)
    return tried


def chosen_precision(*sets: tuple[str, str]) -> str:
    scene = load("s.yaml", [("--set", key, value) for key, value in sets])
    return open_engine(plan(scene, ON_CPU)).device.precision


def recorded_precision(film: Path) -> str:
    metadata = read_metadata(film)
    assert metadata is not None
    return str(metadata["machine"]["precision"])


@pytest.mark.parametrize(("other", "chosen"), [(0.5, "bfloat16"), (0.95, "float32"), (3, "float32"), (100, "float32")])
def test_the_faster_precision_is_chosen_and_remembered(
    other: float, chosen: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = fake_times(monkeypatch, {"float32": 1, "bfloat16": other})
    assert chosen_precision() == chosen
    assert chosen_precision() == chosen
    assert tried == ["float32", "bfloat16"]
    assert chosen_precision(("size", "[96, 64]")) == chosen
    assert len(tried) == 4


def test_a_real_trial_chooses_a_precision_and_stores_it(workspace: Path) -> None:
    assert chosen_precision() in PRECISIONS
    assert (workspace / "cache" / "render" / "precision.json").exists()


def test_an_unusable_cache_is_ignored(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_times(monkeypatch, {"float32": 1, "bfloat16": 0.5})
    file = workspace / "cache" / "render" / "precision.json"
    file.parent.mkdir(parents=True)
    for damage in ("no json", "[1]", '{"a": 1}'):
        file.write_text(damage)
        assert chosen_precision() == "bfloat16"
    monkeypatch.setenv("XDG_CACHE_HOME", str(workspace / "s.yaml"))
    assert chosen_precision() == "bfloat16"


def test_a_resumed_film_keeps_its_precision(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(progress: object) -> None:
        raise KeyboardInterrupt

    fake_times(monkeypatch, {"float32": 1, "bfloat16": 0.5})
    scene = load("s.yaml")
    with pytest.raises(Interrupted, match="stopped"):
        render(scene, ON_CPU, Callbacks(on_frame=stop))
    monkeypatch.setenv("XDG_CACHE_HOME", str(workspace / "another"))
    fake_times(monkeypatch, {"float32": 1, "bfloat16": 2})
    film = render(scene, ON_CPU)
    assert recorded_precision(film.path) == "bfloat16"
    assert not render(scene, ON_CPU).made


def test_a_film_that_is_replaced_is_tried_again(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_times(monkeypatch, {"float32": 1, "bfloat16": 0.5})
    render(load("s.yaml"), ON_CPU)
    monkeypatch.setenv("XDG_CACHE_HOME", str(workspace / "another"))
    fake_times(monkeypatch, {"float32": 1, "bfloat16": 2})
    film = render(load("s.yaml"), Options(device="cpu", overwrite=True))
    assert recorded_precision(film.path) == "float32"


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("efficientnet_lite0", 12),
        *(
            pytest.param(name, 40, marks=[pytest.mark.slow])
            for name in ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
        ),
    ],
)
def test_bfloat16_reaches_the_objective_of_float32(name: str, steps: int) -> None:
    """Within 3 %."""
    settings = AscentSettings(
        octave_scale=1.4, steps=(steps,), step_size=0.01, conditioner=natural(0.35, 0.85), transforms=TransformRange(8)
    )
    photo, objective = photo_tensor("coffee", 128, 96), objectives.layer("blocks.7")

    def final_objective(dtype: torch.dtype) -> float:
        values: list[Tensor] = []
        network = TiledNetwork(load_network(name, dtype=dtype), tile_size=None)
        dream(
            photo,
            network,
            objective=objective,
            settings=settings,
            seed=(0, 0),
            on_step=lambda octave, step, value: values.append(value),
        )
        return float(values[-1])

    exact, coarse = (final_objective(torch_dtype(precision)) for precision in ("float32", "bfloat16"))
    assert coarse == pytest.approx(exact, rel=0.03)

"""The precision that is chosen: the faster one, once, and the same ever after for the same film."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from render import api, load, machine, render, trial
from render.dream import networks, objectives
from render.dream.ascent import Ascent, dream
from render.dream.gradients import natural
from render.dream.networks import Network
from render.film import encoder
from render.scene.model import Scene
from tests.conftest import photo_tensor

SCENE = """
size: [64, 48]
duration: 6
layers: [{layer: blocks.1}]
dream: {octaves: 1, steps: 1, jitter: 4}
output: {segment: 2}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, and a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "s.yaml").write_text(SCENE)
    return tmp_path


def made_faster(monkeypatch: pytest.MonkeyPatch, seconds: dict[str, float]) -> list[str]:
    """Lets steps take so many seconds; which were tried."""
    tried: list[str] = []

    def step(scene: Scene, network: Network) -> Callable[[], float]:
        name = str(network.dtype).removeprefix("torch.")
        tried.append(name)
        return lambda: seconds[name]

    monkeypatch.setattr(trial, "_step", step)
    return tried


def settled(scene: Scene, before: str | None = None) -> str:
    return api.settled(scene, "cpu", "auto", before={"precision": before}).precision


@pytest.mark.parametrize(("other", "chosen"), [(0.5, "bfloat16"), (0.95, "float32"), (3, "float32"), (100, "float32")])
def test_the_faster_precision_is_taken_and_remembered(
    other: float, chosen: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = made_faster(monkeypatch, {"float32": 1, "bfloat16": other})
    scene = load("s.yaml")
    assert settled(scene) == chosen
    assert settled(scene) == chosen
    assert tried == ["float32", "bfloat16"]
    assert settled(load("s.yaml", [("--set", "size", "[96, 64]")])) == chosen
    assert len(tried) == 4


def test_a_real_trial_takes_one_of_them(here: Path) -> None:
    assert settled(load("s.yaml")) in machine.PRECISIONS
    assert (here / "cache" / "render" / "precision.json").exists()


def test_a_damaged_cache_or_none_is_no_obstacle(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_faster(monkeypatch, {"float32": 1, "bfloat16": 0.5})
    file = here / "cache" / "render" / "precision.json"
    file.parent.mkdir(parents=True)
    for damage in ("no json", "[1]", '{"a": 1}'):
        file.write_text(damage)
        assert settled(load("s.yaml")) == "bfloat16"
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "s.yaml"))
    assert settled(load("s.yaml")) == "bfloat16"


def test_a_film_that_goes_on_keeps_its_precision(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(progress: object) -> None:
        raise KeyboardInterrupt

    made_faster(monkeypatch, {"float32": 1, "bfloat16": 0.5})
    scene = load("s.yaml")
    with pytest.raises(BaseException, match="stopped"):
        render(scene, watch=stop)
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "another"))
    made_faster(monkeypatch, {"float32": 1, "bfloat16": 2})
    film = render(scene)
    carried = encoder.carried(film.path)
    assert carried is not None
    assert carried["machine"]["precision"] == "bfloat16"
    assert not render(scene).made


def test_a_film_that_is_replaced_is_tried_anew(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_faster(monkeypatch, {"float32": 1, "bfloat16": 0.5})
    render(load("s.yaml"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "another"))
    made_faster(monkeypatch, {"float32": 1, "bfloat16": 2})
    carried = encoder.carried(render(load("s.yaml"), overwrite=True).path)
    assert carried is not None
    assert carried["machine"]["precision"] == "float32"


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"])
def test_bfloat16_dreams_as_strongly(name: str) -> None:
    """The objective after 40 steps is within 3 % of float32's."""
    how = Ascent(1.4, (40,), 0.01, 8, natural(0.35, 0.85))
    photo, asked = photo_tensor("coffee", 128, 96), objectives.layer("blocks.7")
    values: dict[str, float] = {}
    for precision, dtype in machine.PRECISIONS.items():
        heard: list[torch.Tensor] = []
        made = networks.load(name, dtype=dtype)
        dream(photo, made, asked, how, (0, 0), lambda octave, step, value, heard=heard: heard.append(value))  # type: ignore[misc]
        values[precision] = float(heard[-1])
    assert values["bfloat16"] == pytest.approx(values["float32"], rel=0.03)

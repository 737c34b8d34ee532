"""A film is resumed only with the instructions and the precision that its libraries used before."""

from __future__ import annotations

from pathlib import Path

import pytest

from render.system.device import LIMITS, Device, select_device
from tests.production.films import FILM, PARTS
from tests.production.processes import Run, run_render


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ONEDNN_MAX_CPU_ISA", "SSE41"),
        pytest.param("DNNL_MAX_CPU_ISA", "AVX", marks=pytest.mark.slow),
        pytest.param("ONEDNN_DEFAULT_FPMATH_MODE", "BF16", marks=pytest.mark.slow),
    ],
)
def test_a_film_is_not_resumed_under_another_limit(workspace: Path, name: str, value: str) -> None:
    Run(workspace, "film.yaml", "--json").wait_for_frame(9).kill()
    kept = sorted((workspace / PARTS).glob("*.json"))
    result = run_render(workspace, "film.yaml", environment={name: value})
    assert result.status == 2
    assert f'machine.limits.{name} was null, is "{value}"' in result.err
    assert sorted((workspace / PARTS).glob("*.json")) == kept
    assert run_render(workspace, "film.yaml").status == 0
    again = run_render(workspace, FILM, "--output", "again.mp4", environment={name: value})
    assert again.status == 0
    assert f"machine.limits.{name} was null" in again.err


@pytest.mark.parametrize("name", LIMITS)
def test_every_limit_is_part_of_what_a_film_depends_on(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    device: Device = select_device("cpu", "float32")
    before = device.describe()
    monkeypatch.setenv(name, "1")
    assert device.describe() == {**before, "limits": {**before["limits"], name: "1"}}

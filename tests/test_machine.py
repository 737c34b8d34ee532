from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
import torch

from render import machine


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


@pytest.mark.parametrize(
    ("cores", "expected"),
    [(1, (1, 1)), (2, (2, 2)), (4, (4, 4)), (8, (8, 4)), (16, (15, 4)), (32, (30, 4)), (64, (32, 4))],
)
def test_few_cores_all_dream_and_of_many_some_are_left_to_the_others(cores: int, expected: tuple[int, int]) -> None:
    assert machine.threads(cores) == expected


@pytest.mark.parametrize(("limit", "cores"), [("150000 100000", 2), ("50000 100000", 1), ("max 100000", 64), ("", 64)])
def test_a_containers_share_of_the_cores_counts(
    limit: str, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text(limit)
    monkeypatch.setattr(machine, "CGROUP_CPU", tmp_path / "cpu.max")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert machine.cores() == cores


def test_the_cores_are_shared_out_unless_the_environment_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    torch.set_num_threads(2)
    machine.choose("cpu")
    assert torch.get_num_threads() == 2
    monkeypatch.delenv("OMP_NUM_THREADS")
    machine.choose("cpu")
    assert (torch.get_num_threads(), cv2.getNumThreads()) == (1, 1)
    monkeypatch.setattr(machine, "cores", lambda: 64)
    machine.choose("cpu")
    assert torch.get_num_threads() == 1  # as whoever calls has set it

"""The device, its precision, and the number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
import torch

from render.choices import MAX_RECORDED_THREADS
from render.errors import MissingError, UsageError
from render.system import device
from render.system.device import available_cores, select_device, thread_counts


@pytest.fixture(autouse=True)
def restored_threads() -> Iterator[None]:
    """Restores the numbers of threads after each test."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


@pytest.mark.parametrize(
    ("cores", "expected"),
    [(1, (1, 1)), (2, (2, 2)), (4, (4, 4)), (8, (8, 4)), (16, (15, 4)), (32, (30, 4)), (64, (32, 4))],
)
def test_a_sixteenth_of_many_cores_is_reserved(cores: int, expected: tuple[int, int]) -> None:
    assert thread_counts(cores) == expected


@pytest.mark.parametrize(("limit", "cores"), [("150000 100000", 2), ("50000 100000", 1), ("max 100000", 64), ("", 64)])
def test_the_limit_of_a_container_counts(
    limit: str, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text(limit)
    monkeypatch.setattr(device, "CGROUP_CPU", tmp_path / "cpu.max")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert available_cores() == cores


def test_omp_num_threads_overrides_the_number_of_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "available_cores", lambda: 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    torch.set_num_threads(2)
    select_device("cpu")
    assert torch.get_num_threads() == 2
    monkeypatch.delenv("OMP_NUM_THREADS")
    select_device("cpu")
    assert (torch.get_num_threads(), cv2.getNumThreads()) == (1, 1)


def test_the_number_of_threads_is_never_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(device, "available_cores", lambda: 64)
    torch.set_num_threads(1)
    select_device("cpu")
    assert torch.get_num_threads() == 1


def test_recorded_numbers_of_threads_are_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    selected = select_device("cpu", dream_threads=3, flow_threads=2)
    assert (torch.get_num_threads(), cv2.getNumThreads()) == (3, 2)
    assert (selected.describe()["threads"], selected.describe()["flow_threads"]) == (3, 2)


@pytest.mark.parametrize("recorded", [0, -1, MAX_RECORDED_THREADS + 1, "4", 2.0, True, None])
def test_invalid_recorded_numbers_of_threads_are_ignored(recorded: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(device, "available_cores", lambda: 2)
    torch.set_num_threads(2)
    select_device("cpu", dream_threads=recorded, flow_threads=recorded)
    assert (torch.get_num_threads(), cv2.getNumThreads()) == (2, 2)


def test_auto_takes_the_first_available_device_in_float32_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    selected = select_device()
    assert (selected.torch_device.type, selected.precision, selected.dtype) == ("cpu", "float32", torch.float32)
    assert select_device(precision="bfloat16").dtype == torch.bfloat16


def test_a_missing_device_and_unknown_names_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MissingError, match="torch finds no cuda device on this machine; --device auto selects"):
        select_device("cuda")
    with pytest.raises(UsageError, match="unknown device 'gpu'"):
        select_device("gpu")
    with pytest.raises(UsageError, match="unknown precision 'bfloat61'; did you mean 'bfloat16'"):
        select_device("cpu", "bfloat61")

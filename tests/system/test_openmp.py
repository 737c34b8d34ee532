"""Threads of OpenMP that wait sleep, also when torch was imported before render."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

MEASURE = """
import time, torch

def seconds():
    "Seconds of all cores that a hundred small parallel operations take; between them, threads wait."
    start = time.process_time()
    for _ in range(100):
        torch.ones(300_000).exp()
        time.sleep(0.002)
    return time.process_time() - start

torch.set_num_threads(2)
seconds()
spinning = seconds()
from render.system.device import select_device
select_device("cpu", dream_threads=2)
seconds()
print(spinning, seconds(), torch.get_num_threads())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="libgomp")
def test_threads_sleep_while_they_wait_though_torch_was_imported_first() -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OMP_")}
    ended = subprocess.run(
        [sys.executable, "-c", MEASURE], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    spinning, sleeping, threads = map(float, ended.stdout.split())
    assert sleeping < 0.7 * spinning
    assert threads == 2

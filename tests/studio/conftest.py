"""A studio in a process of its own, and headless Chromium."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from tests.studio.browser import Browser

SCENE = """\
# a scene
size: [64, 64]
fps: 12
duration: 12
seed: 3
camera:
  zoom: {0: 1.02, 6: 1.05, 11: 1.02}  # in and out
objectives:
  - {layer: blocks.4}
dream: {octaves: 1, steps: 1}
output: {path: film.mp4}
"""
START_SECONDS = 60
ADDRESS = "http://"


@dataclass
class StudioProcess:
    """A running studio; `address` lets in who opens it."""

    process: subprocess.Popen[str]
    address: str
    folder: Path

    def stop(self, signal_number: int = signal.SIGKILL) -> None:
        """Ends it."""
        self.process.send_signal(signal_number)
        self.process.wait(20)


StartStudio = Callable[..., StudioProcess]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one scene."""
    path = tmp_path / "scenes"
    path.mkdir()
    (path / "scene.yaml").write_text(SCENE)
    return path


@pytest.fixture
def start_studio(folder: Path, tmp_path: Path) -> Iterator[StartStudio]:
    """Starts studios of the folder's scene, which end with the test. More options of the command line may be given."""
    running: list[StudioProcess] = []
    environment = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}  # NiceGUI reads it
    environment |= {"XDG_STATE_HOME": str(tmp_path / "state"), "RENDER_JOBS": str(tmp_path / "jobs")}

    def start(*options: str) -> StudioProcess:
        command = [sys.executable, "-m", "render", "studio", str(folder / "scene.yaml"), *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout is not None
        running.append(StudioProcess(process, process.stdout.readline().strip(), folder))
        assert running[-1].address.startswith(ADDRESS)
        return running[-1]

    yield start
    for each in running:
        if each.process.poll() is None:
            each.stop()
        assert each.process.stdout is not None
        each.process.stdout.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[webdriver.Chrome]:
    """Headless Chromium of the system."""
    binary, driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if binary is None or driver is None:
        pytest.skip("there is no Chromium with its driver; on Debian: apt-get install chromium chromium-driver")
    options = Options()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver))
    yield browser
    browser.quit()


@pytest.fixture
def browser(chromium: webdriver.Chrome) -> Iterator[Browser]:
    """A browser without cookies, 1440x900. No script may have failed at the end."""
    chromium.delete_all_cookies()
    tab = Browser(chromium)
    tab.resize(1440, 900)
    yield tab
    tab.check_log()
    chromium.get("about:blank")


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Waits until a condition holds; fails when it does not."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.05)

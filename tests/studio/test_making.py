"""Making a film on the page: it is watched, stopped, resumed and played, and has the bytes of the command line's."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from selenium.webdriver.common.keys import Keys

from tests.studio.browser import Browser
from tests.studio.conftest import SCENE, StartStudio

LONG = SCENE.replace("duration: 12", "duration: 600").replace("path: film.mp4", "path: film.mp4, segment_frames: 12")


def test_a_film_is_made_and_plays_and_is_that_of_the_command_line(
    start_studio: StartStudio, browser: Browser, tmp_path: Path
) -> None:
    studio = start_studio()
    browser.open(studio.address)
    browser.until(lambda: browser.scene() == SCENE)
    browser.wait("video")
    browser.click("Make film")
    browser.until((studio.folder / "film.mp4").exists, seconds=120)
    browser.until(lambda: "Play" in browser.text(".film"), seconds=30)
    browser.click("Play")
    browser.until(lambda: browser.script("return document.querySelector('.film-player video')?.duration") == 1)
    command = [
        sys.executable,
        "-m",
        "render",
        str(studio.folder / "scene.yaml"),
        "--output",
        str(tmp_path / "film.mp4"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    assert (studio.folder / "film.mp4").read_bytes() == (tmp_path / "film.mp4").read_bytes()


def test_a_film_is_watched_stopped_and_resumed_over_a_reload_and_a_killed_server(
    start_studio: StartStudio, browser: Browser
) -> None:
    studio = start_studio()
    (studio.folder / "scene.yaml").write_text(LONG)
    browser.open(studio.address)
    browser.until(lambda: browser.scene() == LONG)
    browser.wait("video")
    browser.click("Make film")
    browser.until(lambda: [each for each in browser.all(".film-strip img") if each.is_displayed()], seconds=120)
    browser.driver.refresh()
    browser.wait(".film-strip img")
    studio.stop(signal.SIGKILL)
    browser.open(start_studio().address)
    browser.until(lambda: browser.all("button[aria-label='Stop film.mp4']"))
    browser.all("button[aria-label='Stop film.mp4']")[0].click()
    browser.wait(".film-stage", "topped", seconds=60)
    browser.until(lambda: any(each.is_displayed() for each in browser.all("button[aria-label='Resume film.mp4']")))
    assert not (studio.folder / "film.mp4").exists()


def test_what_is_not_saved_is_not_made(start_studio: StartStudio, browser: Browser) -> None:
    browser.open(start_studio().address)
    browser.type_at(1, Keys.SPACE + "edited")
    browser.wait("[role=status]", "Not saved")
    browser.click("Make film")
    browser.wait(".films-message", "not saved")

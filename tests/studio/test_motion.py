"""The timeline and the camera in a browser: dragged keyframes change the text, and the film of the camera plays."""

from __future__ import annotations

from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.studio.browser import Browser
from tests.studio.conftest import SCENE, StartStudio

KEY = "[aria-label*='1.05']"


def test_a_dragged_keyframe_is_an_edit_of_the_text_that_can_be_undone(
    start_studio: StartStudio, browser: Browser
) -> None:
    browser.open(start_studio().address)
    key = browser.wait(KEY)
    ActionChains(browser.driver).drag_and_drop_by_offset(key, 60, 0).perform()
    browser.until(lambda: browser.scene() != SCENE)
    line = browser.scene().splitlines()[6]
    assert line.startswith("  zoom: {0: 1.02, ")
    assert line.endswith(", 11: 1.02}  # in and out")
    assert "6: 1.05" not in line
    browser.wait(".cm-content").click()
    browser.chord(Keys.CONTROL, "z")
    browser.until(lambda: browser.scene() == SCENE)


def test_a_change_that_the_text_cannot_have_is_refused_with_a_sentence(
    start_studio: StartStudio, browser: Browser
) -> None:
    browser.open(start_studio().address)
    key = browser.wait(KEY)
    browser.type_at(3, "x")
    browser.wait(".problem.error")
    ActionChains(browser.driver).drag_and_drop_by_offset(key, 60, 0).perform()
    browser.wait(".notice", "the text has problems")
    assert browser.scene() == SCENE.replace("fps: 12", "fps: 12x")


def test_the_cameras_film_plays_after_an_edit(start_studio: StartStudio, browser: Browser) -> None:
    browser.open(start_studio().address)
    duration = "return document.querySelector('video')?.duration"
    browser.until(lambda: browser.script(duration) == 1)
    browser.type_at(4, "0")
    browser.until(lambda: browser.script(duration) == 10)
    browser.script("document.querySelector('video').currentTime = 5")
    browser.wait(".timeline", "60 · 5.00 s")
    browser.script("document.querySelector('video').play()")
    browser.until(lambda: browser.script("return document.querySelector('video').currentTime > 5"))

"""The dream in a browser: frames arrive from the playhead on, and of two texts side by side."""

from __future__ import annotations

from tests.studio.browser import Browser
from tests.studio.conftest import StartStudio

PICTURES = "return [...document.querySelectorAll('.zoomable img')].map((each) => each.naturalWidth)"


def test_frames_arrive_and_end_with_the_film(start_studio: StartStudio, browser: Browser) -> None:
    browser.open(start_studio().address)
    browser.wait("video")
    browser.click_tab("Dream")
    browser.click("Dream")
    browser.wait("figcaption", "frame 11 of 12", seconds=90)
    assert browser.script(PICTURES)[0] == 64
    figure = browser.all(".zoomable")[0]
    browser.move_to(figure)
    assert "x 3" in browser.wait("figcaption output", "x 3").text


def test_two_settings_are_dreamed_side_by_side(start_studio: StartStudio, browser: Browser) -> None:
    browser.open(start_studio().address)
    browser.wait("video")
    browser.click_tab("Dream")
    browser.wait("label, .q-toggle", "Compare with this text").click()
    browser.type_at(5, "1")
    browser.wait("[role=status]", "Not saved")
    browser.click("Dream")
    browser.until(lambda: browser.script(PICTURES) == [64, 64], seconds=90)
    browser.click("Stop")

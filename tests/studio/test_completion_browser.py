"""Completion in a browser: the list of what may be written at the cursor."""

from __future__ import annotations

from selenium.webdriver.common.keys import Keys

from tests.studio.browser import Browser
from tests.studio.conftest import SCENE, StartStudio

LIST = ".cm-tooltip-autocomplete"


def test_what_may_be_written_is_listed_and_inserted(start_studio: StartStudio, browser: Browser) -> None:
    browser.open(start_studio().address)
    browser.type_at(9, Keys.ENTER + "- {class: shep")
    browser.wait(LIST, "German shepherd")
    browser.keys(Keys.ENTER)
    browser.until(lambda: "German shepherd" in browser.scene())
    assert browser.scene().splitlines()[9] == "  - {class: German shepherd}"
    assert browser.scene().startswith(SCENE[:100])


def test_keys_of_a_section_are_listed_on_request(start_studio: StartStudio, browser: Browser) -> None:
    browser.open(start_studio().address)
    browser.type_at(7, Keys.ENTER + "  ")
    browser.chord(Keys.CONTROL, Keys.SPACE)
    listed = browser.wait(LIST, "rotate").text
    assert "move" in listed
    assert "zoom" not in listed.split()

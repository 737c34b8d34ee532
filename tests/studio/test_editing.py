"""The studio's editor in a browser: problems, saving, edits made elsewhere, drafts, one writer, reloads."""

from __future__ import annotations

import signal

from selenium.webdriver.common.keys import Keys

from tests.studio.browser import Browser
from tests.studio.conftest import SCENE, StartStudio, wait_until


def test_a_mistake_is_underlined_with_the_message_of_the_command_line(
    start_studio: StartStudio, browser: Browser
) -> None:
    browser.open(start_studio().address)
    browser.type_at(3, "x")
    assert browser.wait(".problem.error").text == "12x"
    assert browser.wait(".problems", "3:6").text.endswith("'12x' is not a rate: 24, 29.97 or 30000/1001")
    browser.keys(Keys.BACKSPACE)
    browser.wait_gone(".problem.error")
    assert browser.text(".problems") == ""


def test_control_s_saves(start_studio: StartStudio, browser: Browser) -> None:
    studio = start_studio()
    browser.open(studio.address)
    browser.type_at(1, " of mine")
    browser.wait("[role=status]", "Not saved")
    browser.chord(Keys.CONTROL, "s")
    wait_until(lambda: (studio.folder / "scene.yaml").read_text() == SCENE.replace("a scene", "a scene of mine"))
    browser.until(lambda: browser.text("[role=status]") == "Saved")


def test_an_edit_elsewhere_is_read_or_offered(start_studio: StartStudio, browser: Browser) -> None:
    studio = start_studio()
    file = studio.folder / "scene.yaml"
    browser.open(studio.address)
    file.write_text(SCENE.replace("seed: 3", "seed: 4"))
    browser.until(lambda: "seed: 4" in browser.scene())
    browser.type_at(1, " of mine")
    file.write_text(SCENE.replace("seed: 3", "seed: 5"))
    browser.wait(".notice", "changed elsewhere")
    browser.chord(Keys.CONTROL, "s")
    assert file.read_text() == SCENE.replace("seed: 3", "seed: 5")
    browser.click("Keep this text")
    browser.click("Save")
    wait_until(lambda: "a scene of mine" in file.read_text())


def test_a_draft_survives_a_closed_page_and_a_killed_server(start_studio: StartStudio, browser: Browser) -> None:
    studio = start_studio()
    browser.open(studio.address)
    browser.type_at(1, " not saved")
    state = studio.folder.parent / "state"
    wait_until(lambda: any("not saved" in file.read_text() for file in state.rglob("*.json")))
    studio.stop(signal.SIGKILL)
    browser.open(start_studio().address)
    browser.until(lambda: browser.scene() == SCENE.replace("a scene", "a scene not saved"))
    browser.wait(".notice", "not saved")
    browser.click("Use the file")
    browser.until(lambda: browser.scene() == SCENE)
    assert (studio.folder / "scene.yaml").read_text() == SCENE


def test_a_second_page_is_told_and_may_take_over(start_studio: StartStudio, browser: Browser) -> None:
    studio = start_studio()
    browser.open(studio.address)
    first = browser.driver.current_window_handle
    browser.driver.switch_to.new_window("tab")
    try:
        browser.open(studio.address.partition("?")[0])
        browser.wait(".notice", "Another page edits this scene")
        assert browser.all(".cm-content")[0].get_attribute("contenteditable") == "false"
        browser.click("Edit here")
        browser.until(lambda: browser.all(".cm-content")[0].get_attribute("contenteditable") == "true")
        browser.type_at(1, " twice")
        browser.driver.switch_to.window(first)
        browser.wait(".notice", "Another page edits this scene")
        assert browser.all(".cm-content")[0].get_attribute("contenteditable") == "false"
    finally:
        browser.driver.switch_to.window(browser.driver.window_handles[-1])
        browser.driver.close()
        browser.driver.switch_to.window(first)


def test_a_reload_keeps_the_page_the_writer(start_studio: StartStudio, browser: Browser) -> None:
    browser.open(start_studio().address)
    browser.type_at(1, "!")
    browser.wait("[role=status]", "Not saved")
    browser.driver.refresh()
    browser.wait(".cm-content")
    browser.until(lambda: browser.scene() == SCENE.replace("a scene", "a scene!"))
    browser.until(lambda: browser.all(".cm-content")[0].get_attribute("contenteditable") == "true")


def test_nobody_gets_in_without_the_token(start_studio: StartStudio, browser: Browser) -> None:
    address = start_studio().address.partition("?")[0]
    browser.driver.execute_cdp_cmd("Network.clearBrowserCache", {})
    for path in ("", "?token=wrong", "_nicegui/3.18.0/static/nicegui.js"):
        browser.driver.get(address + path)
        assert browser.text("body") == "open the address that `render studio` printed"

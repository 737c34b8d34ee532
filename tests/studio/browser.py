"""What tests do with a page in a browser."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

WAIT_SECONDS = 30.0
HARMLESS = (
    "favicon",
    "WebSocket connection",
    "ERR_CONNECTION",
    "ERR_EMPTY_RESPONSE",
    "ERR_INCOMPLETE",
    "403 (",
    "421 (",
)
"""Parts of messages of a browser whose server was killed, or refused something, on purpose."""


class Browser:
    """A tab of headless Chromium."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, address: str) -> None:
        """Opens an address, and waits for the studio's editor."""
        self.driver.get(address)
        self.wait(".cm-content")

    def resize(self, width: int, height: int) -> None:
        """Gives the page a size in pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 800}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def prefer(self, scheme: str) -> None:
        """Prefers `light` or `dark`."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def all(self, selector: str) -> list[WebElement]:
        """Returns the elements of a CSS selector."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def wait(self, selector: str, text: str = "", *, seconds: float = WAIT_SECONDS) -> WebElement:
        """Waits for an element that contains a text."""

        def find() -> WebElement | None:
            return next((each for each in self.all(selector) if text in (each.text or "")), None)

        element: WebElement = self.until(find, seconds=seconds)
        return element

    def wait_gone(self, selector: str) -> None:
        """Waits until there is no element."""
        self.until(lambda: not self.all(selector))

    def until(self, condition: Callable[[], Any], *, seconds: float = WAIT_SECONDS) -> Any:
        """Waits until a condition holds, and returns what it returns."""
        end = time.monotonic() + seconds
        while True:
            try:
                if result := condition():
                    return result
            except StaleElementReferenceException:
                pass
            assert time.monotonic() < end, f"waited for too long; the page says:\n{self.text('body')}"
            time.sleep(0.03)

    def text(self, selector: str) -> str:
        """Returns the text of the first element, empty for none."""
        return next((each.text for each in self.all(selector)), "")

    def scene(self) -> str:
        """Returns the text in the editor."""
        return str(
            self.script(
                "return document.querySelector('.cm-content').cmTile?.view?.state?.doc?.toString() ?? "
                "document.querySelector('.cm-content').cmView.view.state.doc.toString()"
            )
        )

    def script(self, script: str, *arguments: object) -> Any:
        """Runs a script in the page."""
        return self.driver.execute_script(script, *arguments)

    def keys(self, *keys: str) -> None:
        """Presses keys where the focus is."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def chord(self, modifier: str, key: str) -> None:
        """Presses a key with a modifier."""
        ActionChains(self.driver).key_down(modifier).send_keys(key).key_up(modifier).perform()

    def type_at(self, line: int, text: str) -> None:
        """Types at the end of a line of the editor, from 1."""
        self.wait(".cm-content").click()
        self.chord(Keys.CONTROL, Keys.HOME)
        self.keys(*[Keys.DOWN] * (line - 1), Keys.END, text)

    def click(self, label: str) -> None:
        """Clicks the button of a label."""
        self.until(
            lambda: next((e for e in self.all("button") if e.text.strip() == label and e.is_displayed()), None)
        ).click()

    def click_tab(self, label: str) -> None:
        """Chooses the tab of a label."""
        self.wait("[role=tab]", label).click()

    def move_to(self, element: WebElement) -> None:
        """Moves the pointer to the middle of an element."""
        ActionChains(self.driver).move_to_element(element).perform()

    def screenshot(self, path: Path) -> None:
        """Writes a PNG of the page."""
        self.driver.save_screenshot(str(path))

    def check_log(self) -> None:
        """Asserts that no script failed."""
        log = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        wrong = [each["message"] for each in log if each["level"] == "SEVERE"]
        assert not [each for each in wrong if not any(part in each for part in HARMLESS)]

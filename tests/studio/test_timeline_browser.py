"""The timeline in a browser: keys are dragged with pointer and keyboard, and the text of the scene follows."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.studio.browser import Browser
from tests.studio.conftest import wait_until

SCENE = """\
fps: 24
duration: 4s
bpm: 120
camera:
  zoom: {0s: 1, 1.5s: {value: 1.1, ease: smooth}, end: 1}  # in and out
  rotate: "0.5 * sin(t)"
objectives:
  - layer: blocks.4
    weight: {0b: 1, 4b: 0.5}
"""
REDRAW_MS = 100
REDRAW = """
const done = arguments[arguments.length - 1];
const view = document.querySelector('.timeline').timeline;
const [key] = view.scroll.querySelectorAll('.tl-key');
const box = key.getBoundingClientRect();
const send = (type, dx) => key.dispatchEvent(new PointerEvent(type, {
  bubbles: true, cancelable: true, pointerId: 1, clientX: box.x + 11 + dx, clientY: box.y + 11 - dx / 4, button: 0}));
send('pointerdown', 0);
const times = [];
let at = 0;
const draw = view.draw.bind(view);
view.draw = () => {
  draw();
  times.push(performance.now() - at);
  if (times.length < 30) setTimeout(step, 5);
  else { send('pointerup', 90); view.draw = draw; done(times); }
};
const step = () => { at = performance.now(); send('pointermove', 4 + 2.5 * times.length); };
step();
"""


OpenTimeline = Callable[..., Browser]


@pytest.fixture
def open_timeline(browser: Browser, tmp_path: Path) -> Iterator[OpenTimeline]:
    """Opens a page with the timeline of a scene, served by a process of its own."""
    running: list[subprocess.Popen[bytes]] = []

    def start(text: str = SCENE) -> Browser:
        path = tmp_path / "scene.yaml"
        path.write_text(text)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "tests.studio.timeline_page", str(port), str(path)]
        own = {
            name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"
        }  # NiceGUI looks at it
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, env=own))
        wait_until(lambda: is_listening(port) or running[-1].poll() is not None, seconds=60)
        assert running[-1].poll() is None
        browser.driver.get(f"http://127.0.0.1:{port}/")
        browser.wait("#text", "objectives")
        browser.wait(".tl-row")
        return browser

    yield start
    browser.driver.get("about:blank")
    for process in running:
        process.kill()
        process.wait(20)


def is_listening(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def events(browser: Browser, name: str) -> list[dict[str, Any]]:
    """What the timeline emitted."""
    lines = browser.text("#events").splitlines()
    return [values for event, values in map(json.loads, lines) if event == name]


def head(browser: Browser, name: str) -> WebElement:
    return browser.wait(f".tl-head[title^='{name}']")


def keys(browser: Browser, name: str) -> list[WebElement]:
    """The handles of a track's keys, from left to right."""
    found = head(browser, name).find_element("xpath", "..").find_elements("css selector", ".tl-key")
    return sorted(found, key=lambda key: float(key.rect["x"]))


def pixels_per_frame(browser: Browser) -> float:
    script = "const v = document.querySelector('.timeline').timeline; return v.x(1) - v.x(0)"
    return float(browser.script(script))


def drag(browser: Browser, key: WebElement, *, right: float, down: float) -> None:
    actions = ActionChains(browser.driver, duration=20).move_to_element(key).click_and_hold()
    for _ in range(4):
        actions.move_by_offset(round(right / 4), round(down / 4))
    actions.release().perform()


def test_a_dragged_key_changes_the_text_at_one_place(open_timeline: OpenTimeline) -> None:
    browser = open_timeline()
    drag(browser, keys(browser, "camera.zoom")[1], right=12 * pixels_per_frame(browser), down=10)
    browser.until(lambda: events(browser, "move-key"))
    (moved,) = events(browser, "move-key")
    assert moved["track"] == "camera.zoom"
    assert moved["key"] == 1
    assert moved["frame"] == 48
    assert 1.06 < moved["value"] < 1.1
    assert events(browser, "drag-key")
    line = f"  zoom: {{0s: 1, 2s: {{value: {moved['value']:g}, ease: smooth}}, end: 1}}  # in and out"
    browser.wait("#text", line)
    assert browser.text("#text").splitlines() == [
        line if "zoom" in each else each for each in SCENE.strip().splitlines()
    ]


def test_a_key_in_beats_snaps_to_beats_but_not_with_alt(open_timeline: OpenTimeline) -> None:
    browser = open_timeline()
    frame = pixels_per_frame(browser)
    drag(browser, keys(browser, "objectives.0.weight")[1], right=12 * frame + 5, down=0)
    browser.wait("#text", "5b: 0.5")
    actions = ActionChains(browser.driver, duration=20).key_down(Keys.ALT)
    actions.move_to_element(keys(browser, "objectives.0.weight")[1]).click_and_hold()
    actions.move_by_offset(round(-11 * frame), 0).release().key_up(Keys.ALT).perform()
    browser.until(lambda: len(events(browser, "move-key")) == 2)
    assert events(browser, "move-key")[1]["frame"] == 49


def test_the_keyboard_moves_adds_and_removes_keys(open_timeline: OpenTimeline) -> None:
    browser = open_timeline()
    head(browser, "camera.zoom").click()

    def focused() -> str:
        return browser.driver.switch_to.active_element.get_attribute("aria-label") or ""

    assert focused().startswith("camera zoom: 1, 3 keyframes")
    browser.keys(Keys.ARROW_DOWN)
    assert "rotate" in focused()
    assert "is an expression" in focused()
    browser.keys(Keys.ARROW_UP, "k", "k")
    assert "keyframe at frame 36, 1.50 seconds, value 1.1, smooth" in focused()
    browser.keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_UP)
    browser.wait("#text", "1.58s: {value: 1.1001, ease: smooth}")
    assert len(events(browser, "move-key")) == 1
    browser.click("JUMP")
    head(browser, "camera.zoom").click()
    browser.keys("a")
    browser.wait("#text", "1s: {value: ")
    browser.until(lambda: "frame 24" in focused())
    browser.keys(Keys.DELETE)
    browser.wait("#text", "zoom: {0s: 1, 1.58s: {value: 1.1001, ease: smooth}, end: 1}")
    browser.until(lambda: "2 keyframes" not in focused())
    assert len(browser.all(".tl-head[tabindex='0']")) == 1


def test_a_double_click_adds_a_key_and_an_expression_says_why_it_has_none(open_timeline: OpenTimeline) -> None:
    browser = open_timeline()
    lane = head(browser, "objectives.0.weight").find_element("xpath", "../div[contains(@class, 'tl-lane')]")
    ActionChains(browser.driver).move_to_element_with_offset(lane, 200, 0).double_click().perform()
    browser.until(lambda: len(keys(browser, "objectives.0.weight")) == 3)
    assert len(events(browser, "add-key")) == 1
    assert events(browser, "add-key")[0]["value"] == 0.5
    head(browser, "camera.rotate").click()
    browser.keys(Keys.ENTER)
    browser.wait(".tl-tip", "rotate is an expression")


def test_the_numbers_of_the_selected_key_can_be_typed(open_timeline: OpenTimeline) -> None:
    browser = open_timeline()
    keys(browser, "camera.zoom")[1].click()
    browser.wait(".tl-inspector", "easing")
    value = browser.all(".tl-field input")[1]
    value.clear()
    value.send_keys("1.25", Keys.TAB)
    browser.wait("#text", "1.5s: {value: 1.25, ease: smooth}")
    browser.script(
        "const s = document.querySelector('.tl-field select'); s.value = 'hold'; s.dispatchEvent(new Event('change'))"
    )
    browser.wait("#text", "1.5s: {value: 1.25, ease: hold}")


def test_the_playhead_is_dragged_and_moved_by_the_server(open_timeline: OpenTimeline) -> None:
    browser = open_timeline()
    handle = browser.wait(".tl-handle")
    drag(browser, handle, right=24 * pixels_per_frame(browser), down=0)
    browser.until(lambda: events(browser, "seek") and events(browser, "seek")[-1]["frame"] == 24)
    browser.keys(Keys.END)
    browser.until(lambda: events(browser, "seek")[-1]["frame"] == 95)
    count = len(events(browser, "seek"))
    browser.click("JUMP")
    browser.wait(".tl-readout", "24 · 1.00 s")
    assert len(events(browser, "seek")) == count


def test_an_edit_that_is_refused_is_undone_on_the_page(open_timeline: OpenTimeline) -> None:
    browser = open_timeline(SCENE.replace("4b: 0.5}", "4b: &half 0.5}\n  - {layer: blocks.6, weight: *half}"))
    before = keys(browser, "objectives.0.weight")[1].rect
    drag(browser, keys(browser, "objectives.0.weight")[1], right=0, down=15)
    browser.until(lambda: events(browser, "refused"))
    browser.until(lambda: keys(browser, "objectives.0.weight")[1].rect["y"] == before["y"])


def test_a_drag_is_drawn_at_once_also_in_a_film_of_100000_frames_with_50_tracks(open_timeline: OpenTimeline) -> None:
    weights = "".join(f"  - {{layer: blocks.4, weight: {{0: 1, {100 * i}: 0.5, end: 1}}}}\n" for i in range(1, 51))
    browser = open_timeline(f"duration: 100000\nbpm: 120\nmix: '0.5 + 0.5 * sin(t)'\nobjectives:\n{weights}")
    times = browser.driver.execute_async_script(REDRAW)
    print(f"\ndrag to redraw: median {sorted(times)[15]:.1f} ms, worst {max(times):.1f} ms")
    assert sorted(times)[15] < REDRAW_MS
    assert len(browser.all(".tl-row")) == 51
    zoom = "document.querySelector('.timeline').timeline.view(40000, 40100)"
    browser.script(zoom)
    detail = "return document.querySelector('.timeline').timeline.track('mix.amount').detail?.values.length > 300"
    browser.until(lambda: browser.script(detail))


def test_rows_and_keys_are_reached_by_touch_on_a_telephone(open_timeline: OpenTimeline) -> None:
    browser = open_timeline()
    browser.resize(390, 844)
    browser.until(lambda: browser.all(".tl-narrow"))
    key = keys(browser, "camera.zoom")[1]
    box = browser.script("const b = arguments[0].getBoundingClientRect(); return [b.x + 11, b.y + 11]", key)

    def touch(kind: str, x: float, y: float) -> None:
        points = [] if kind == "touchEnd" else [{"x": x, "y": y}]
        browser.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", *box)
    for i in range(1, 6):
        touch("touchMove", box[0] + 8 * i, box[1])
    touch("touchEnd", 0, 0)
    browser.until(lambda: events(browser, "move-key"))
    (moved,) = events(browser, "move-key")
    assert moved["frame"] > 40
    assert moved["value"] == 1.1

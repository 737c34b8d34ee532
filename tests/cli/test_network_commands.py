"""Listing networks, layers and classes, and making an atlas."""

from __future__ import annotations

from pathlib import Path

import pytest

from render.analysis.atlas import DEFAULT_SIDE
from tests.cli.program import Call, strict_json


def test_networks_are_listed(call: Call) -> None:
    rows = strict_json(call("networks", "--json").out)
    by_name = {row["name"]: row for row in rows}
    assert len(rows) > 80
    assert by_name["efficientnet_lite0"]["downloaded"] is True
    assert by_name["googlenet"] == {
        "name": "googlenet",
        "parameters": 6624904,
        "accuracy": 69.778,
        "megabytes": pytest.approx(49.7, abs=0.1),
        "downloaded": False,
    }
    table = call("networks").out.splitlines()
    assert table[0].split() == ["network", "parameters", "ImageNet", "top-1", "download", "downloaded"]
    assert any(line.split() == ["efficientnet_lite0", "4.7", "M", "75.1", "%", "18", "MB", "yes"] for line in table)


def test_the_blocks_of_a_network_are_listed(call: Call) -> None:
    rows = strict_json(call("layers", "efficientnet_lite0", "--json").out)
    assert [row["name"] for row in rows if row["name"].startswith("blocks.")] == [f"blocks.{i}" for i in range(16)]
    assert rows[11] == {
        "name": "blocks.10", "kind": "InvertedResidual", "channels": 112, "stride": 16, "receptive_field": 339
    }  # fmt: skip
    table = call("layers", "googlenet")
    assert table.status == 0
    assert ["inception4c", "Inception", "512", "16", "171"] in [line.split() for line in table.out.splitlines()]


def test_all_includes_the_layers_inside_the_blocks(call: Call) -> None:
    rows = strict_json(call("layers", "googlenet", "--all", "--json").out)
    assert {"inception4c.branch2.1.conv", "inception4c.cat", "fc"} <= {row["name"] for row in rows}
    assert "unbounded" in call("layers", "googlenet", "--all").out


@pytest.mark.parametrize("command", ["layers", "classes", "atlas"])
def test_an_unknown_network_is_a_message(command: str, call: Call) -> None:
    ended = call(command, "googlnet")
    assert ended.status == 2
    assert ended.err == "render: unknown network 'googlnet'; did you mean 'googlenet'?\n"


def test_the_classes_of_a_network_are_listed(call: Call) -> None:
    assert strict_json(call("classes", "--json").out)[954] == "banana"
    assert ["954", "banana"] in [line.split() for line in call("classes", "googlenet").out.splitlines()]


def test_an_atlas_is_replaced_only_with_overwrite(call: Call, folder: Path) -> None:
    arguments = ["atlas", "efficientnet_lite0", "--layers", "stem, blocks.2", "--side", "32"]
    ended = call(*arguments)
    assert (ended.status, ended.out) == (0, "efficientnet_lite0.atlas.png: 2 pictures\n")
    assert (folder / "efficientnet_lite0.atlas.png").stat().st_size > 1000
    assert "--overwrite replaces it" in call(*arguments).err
    assert call(*arguments, "--overwrite", "--quiet").out == ""


def test_layers_and_channels_exclude_each_other(call: Call) -> None:
    ended = call("atlas", "efficientnet_lite0", "--layers", "stem", "--channels", "stem:1")
    assert (ended.status, ended.err) == (2, "render: --layers and --channels exclude each other\n")


def test_the_side_of_an_atlas_has_the_default_of_the_python_function(call: Call) -> None:
    assert f"[default: {DEFAULT_SIDE}]" in call("atlas", "--help").out


def test_the_schema_is_printed(call: Call) -> None:
    assert "objectives" in strict_json(call("schema").out)["properties"]

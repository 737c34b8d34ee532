"""Commands about networks and what they dream."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from render.cli.options import OUTPUT, DeviceOptions, Json, Network, Overwrite, Quiet
from render.cli.output import plural, print_json, print_line, print_table
from render.errors import UsageError
from render.text import escape

PICTURES = "Picture options"
"""Heading of options in the help of `atlas`."""


def networks(as_json: Json = False) -> None:
    """List the networks, and whether their weights are downloaded.

    Example:
      render networks
    """
    from render.models.registry import model_names, model_spec

    specs = [model_spec(name) for name in model_names()]
    if as_json:
        fields = ("name", "parameters", "accuracy")
        print_json(
            [
                {field: getattr(spec, field) for field in fields}
                | {"megabytes": spec.weights_source.megabytes, "downloaded": spec.weights_source.is_downloaded}
                for spec in specs
            ]
        )
        return
    print_table(
        ("network", "parameters", "ImageNet top-1", "download", "downloaded"),
        (
            (
                spec.name,
                f"{spec.parameters / 1e6:.1f} M",
                f"{spec.accuracy:.1f} %",
                f"{spec.weights_source.megabytes:.0f} MB",
                "yes" if spec.weights_source.is_downloaded else "",
            )
            for spec in specs
        ),
    )


def layers(
    network: Network,
    *,
    include_all: Annotated[bool, typer.Option("--all", help="Include the layers inside the blocks.")] = False,
    as_json: Json = False,
) -> None:
    """List the layers of a network that a scene can name.

    Example:
      render layers googlenet --all
    """
    from render.models.registry import layer_map

    layers_by_name = layer_map(network).layers
    infos = [layers_by_name[name] for name in (layers_by_name if include_all else layer_map(network).blocks)]
    if as_json:
        fields = ("name", "kind", "channels", "stride", "receptive_field")
        print_json([{field: getattr(info, field) for field in fields} for info in infos])
        return
    print_table(
        ("layer", "kind", "channels", "stride", "receptive field"),
        (
            (info.name, info.kind, info.channels, info.stride or "", info.receptive_field or "unbounded")
            for info in infos
        ),
    )


def classes(network: Network = "efficientnet_lite0", as_json: Json = False) -> None:
    """List the classes of a network, by index and name.

    Example:
      render classes googlenet
    """
    from render.models.registry import model_spec

    names = model_spec(network).classes
    if as_json:
        print_json(names)
    else:
        print_table(("index", "class"), enumerate(names))


@dataclass(frozen=True)
class PictureOptions:
    """What the pictures of an atlas are."""

    layers: Annotated[
        str | None,
        typer.Option(help="Layers, instead of the blocks.", metavar="A,B,...", rich_help_panel=PICTURES),
    ] = None
    channels: Annotated[
        str | None,
        typer.Option(help="Channels of one layer.", metavar="LAYER:0-31", rich_help_panel=PICTURES),
    ] = None
    image: Annotated[
        Path | None,
        typer.Option(help="Start from a picture, instead of noise.", metavar="PATH", rich_help_panel=PICTURES),
    ] = None
    weights: Annotated[
        Path | None,
        typer.Option(help="State dict, instead of the published weights.", metavar="PATH", rich_help_panel=PICTURES),
    ] = None
    side: Annotated[
        int,
        typer.Option(help="Pixels of a picture's longer side.", metavar="PIXELS", rich_help_panel=PICTURES),
    ] = 192


def atlas(
    network: Network,
    pictures: PictureOptions,
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Path of the sheet, .png or .jpg; NETWORK.atlas.png by default.",
            metavar="PATH",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    overwrite: Overwrite = False,
    device: DeviceOptions,
    quiet: Quiet = False,
) -> None:
    """Make a labelled sheet of what the layers of a network dream.

    Example:
      render atlas efficientnet_lite0 --channels blocks.7:0-31
    """
    from render.analysis.atlas import AtlasOptions
    from render.analysis.atlas import atlas as make_atlas
    from render.cli.progress import progress_bar
    from render.pipeline.plan import Options

    if pictures.layers is not None and pictures.channels is not None:
        raise UsageError("--layers and --channels exclude each other")
    target = output or Path(f"{network}.atlas.png")
    names = None if pictures.layers is None else [name.strip() for name in pictures.layers.split(",")]
    choice = AtlasOptions(
        layers=names,
        channels=pictures.channels,
        image=pictures.image,
        weights=pictures.weights,
        side=pictures.side,
    )
    options = Options(device=device.device, precision=device.precision, overwrite=overwrite, quiet=quiet)
    with progress_bar("picture", quiet=quiet) as on_progress:
        count = make_atlas(network, target, choice=choice, options=options, on_progress=on_progress)
    if not quiet:
        print_line(f"{escape(target)}: {plural(count, 'picture')}")

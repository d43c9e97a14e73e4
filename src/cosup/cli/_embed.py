"""Commands for images: embed them, and train weak teachers on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from cosup.cli._shell import FOLDER, resumable
from cosup.datasets import embed_images, make_backbone, read_image_list

__all__ = ["embed"]

IMAGES = click.Path(exists=True, path_type=Path)


def _options(ctx: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, Any]:
    """``NAME=VALUE`` texts; a value that is not JSON is text."""
    out: dict[str, Any] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise click.BadParameter(f"{text!r}: NAME=VALUE is expected")
        try:
            out[name.strip()] = json.loads(value)
        except ValueError:
            out[name.strip()] = value
    return out


@click.command()
@click.option("--images", type=IMAGES, required=True, help="Folder of images, or a table with a column 'path'.")
@click.option("--backbone", required=True, metavar="SOURCE:NAME", help="See cosup backbones.")
@click.option("--out", type=FOLDER, required=True, help="Folder for features, list of files and manifest.")
@click.option(
    "--layout", default="flat", show_default=True, help="flat, folders, domains, imagenet, domainnet, table, auto."
)
@click.option("--layout-option", multiple=True, callback=_options, metavar="NAME=VALUE",
              help="Of the layout, as in part=val; may be repeated.")  # fmt: skip
@click.option("--image-size", type=click.IntRange(1), help="Side in pixels.  [default: the backbone's own]")
@click.option("--pooling", type=click.Choice(["cls", "mean", "both"]), help="[default: the backbone's own]")
@click.option("--precision", default="float32", show_default=True, help="Of computing: float32, bfloat16, float16.")
@click.option("--compile", is_flag=True, help="Compile the network first (torch.compile).")
@click.option("--device", help="As torch names it.  [default: cuda where there is one, or cpu]")
@click.option("--weights", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Weights file.")
@click.option("--dtype", type=click.Choice(["float16", "float32"]), default="float16", show_default=True,
              help="Of the features on disk.")  # fmt: skip
@click.option("--batch-size", type=click.IntRange(1), default=100, show_default=True, help="Images computed together.")
@click.option("--shard-size", type=click.IntRange(1), default=1000, show_default=True, help="Images flushed together.")
@click.option("--workers", type=click.IntRange(1), help="Threads that read images.  [default: cores less one]")
@click.option("--skip-unreadable", is_flag=True, help="Leave unreadable images out, and list them.")
def embed(
    images: Path,
    backbone: str,
    out: Path,
    layout: str,
    layout_option: dict[str, Any],
    image_size: int | None,
    pooling: str | None,
    precision: str,
    compile: bool,
    device: str | None,
    weights: Path | None,
    dtype: str,
    batch_size: int,
    shard_size: int,
    workers: int | None,
    skip_unreadable: bool,
) -> None:
    """Turn images into features by a pre-trained network.

    Writes features.npy (a row an image), files.jsonl (a line an image) and manifest.json. Stopped at any moment, the
    same command goes on where it was.

    \b
    Example: cosup embed --images photos --backbone lite:efficientnet-lite0 --out features
             cosup fit --features features/features.npy --labels labels.npz --out model
    """  # noqa: D301
    listed = read_image_list(images, "auto" if images.is_file() else layout, **layout_option)
    network = make_backbone(
        backbone, image_size=image_size, pooling=pooling, dtype=precision, compile=compile, device=device,
        weights=weights,
    )  # fmt: skip
    with resumable(out):
        store = embed_images(
            listed.root, listed.paths, network, out, batch_size=batch_size, shard_size=shard_size, dtype=dtype,
            skip_unreadable=skip_unreadable, workers=workers,
        )  # fmt: skip
    click.echo(f"{len(store):,} images, {store.shape[1]:,} features each, {store.nbytes / 1e6:.1f} MB in {out}")
    if store.unreadable:
        click.echo(f"Left out, unreadable ({len(store.unreadable):,}):", err=True)
        for why in store.unreadable.values():
            click.echo(f"  {why}", err=True)

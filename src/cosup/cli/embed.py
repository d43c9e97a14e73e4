"""Commands for images: embed them, and train weak teachers on them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cosup.cli.options import FOLDER, PLUGIN, RAY, named_values
from cosup.cli.shell import resumable
from cosup.utils.atomic_files import write_whole
from cosup.utils.errors import CosupError

if TYPE_CHECKING:
    from cosup.embedding import FeatureStore

__all__ = ["embed", "teach_command"]

IMAGES = click.Path(exists=True, path_type=Path)


@click.command()
@click.option("--images", type=IMAGES, required=True, help="Folder of images, or a table with a column 'path'.")
@click.option(
    "--backbone", required=True, metavar="SOURCE:NAME", help="See cosup backbones; of hub: and module: the code is run."
)
@click.option("--out", type=FOLDER, required=True, help="Folder for features, list of files and manifest.")
@click.option(
    "--layout", default="flat", show_default=True, help="flat, folders, domains, imagenet, domainnet, table, auto."
)
@click.option("--layout-option", multiple=True, callback=named_values, metavar="NAME=VALUE",
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
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Threads that read images.  [default: cores less one; with --ray: one an actor]",
)
@click.option("--skip-unreadable", is_flag=True, help="Leave unreadable images out, and list them.")
@RAY
@PLUGIN
def embed(
    images: Path, backbone: str, out: Path, layout: str, layout_option: dict[str, Any], precision: str, **options: Any
) -> None:
    """Turn images into features by a pre-trained network.

    Writes features.npy (a row an image), files.jsonl (a line an image) and manifest.json. Stopped at any moment, the
    same command goes on where it was, with or without --ray.

    \b
    Example: cosup embed --images photos --backbone lite:efficientnet-lite0 --out features
             cosup fit --features features/features.npy --labels labels.npz --out model
    """  # noqa: D301
    from cosup.embedding import embed_images, make_backbone
    from cosup.tasks import read_image_list

    listed = read_image_list(images, "auto" if images.is_file() else layout, **layout_option)
    own = {name: options.pop(name) for name in ("image_size", "pooling", "compile", "device", "weights")}
    # As everywhere on the command line: code that a person names is run.
    network = make_backbone(backbone, dtype=precision, trust_repo=True, **own)
    with resumable(out):
        store = embed_images(listed.root, listed.paths, network, out, **options)
    click.echo(f"{len(store):,} images, {store.shape[1]:,} features each, {store.nbytes / 1e6:.1f} MB in {out}")
    if store.unreadable:
        click.echo(f"Left out, unreadable ({len(store.unreadable):,}):", err=True)
        for why in store.unreadable.values():
            click.echo(f"  {why}", err=True)


@click.command("teach")
@click.option("--images", type=IMAGES, required=True, help="Folder of images whose classes are known, or a table.")
@click.option("--layout", default="auto", show_default=True, help="As in cosup embed.")
@click.option("--layout-option", multiple=True, callback=named_values, metavar="NAME=VALUE", help="As in cosup embed.")
@click.option("--weak", type=FOLDER, required=True, help="What teachers see: a folder of cosup embed.")
@click.option("--features", type=FOLDER, required=True, help="What the student sees: a folder of cosup embed.")
@click.option("--levels", default="1,2", show_default=True, help="Class ranges, as in 1,2,4,8; or domains.")
@click.option("--share", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.3, show_default=True,
              help="Of the images: what teachers are trained on.")  # fmt: skip
@click.option("--kind", type=click.Choice(["logistic", "adam"]), default="logistic", show_default=True,
              help="adam: the published recipe.")  # fmt: skip
@click.option("--iterations", type=click.IntRange(1), default=1000, show_default=True, help="Fewer: weaker teachers.")
@click.option("--top-k", type=click.IntRange(1), default=5, show_default=True, help="Classes kept, of more than 50.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Decides all that is random.")
@click.option("--out", type=FOLDER, required=True, help="Folder for teachers, labels.npz and X.npy.")
@PLUGIN
def teach_command(
    images: Path, layout: str, layout_option: dict[str, Any], weak: Path, features: Path, out: Path, **options: Any
) -> None:
    """Train weak teachers on some images; they annotate the others, for a student that never sees the first.

    Writes the teachers, labels.npz (what they say of the other images), X.npy (the student's features of these) and
    paths.txt. Stopped at any moment, the same command goes on behind the last teacher.

    \b
    Example: cosup teach --images photos --weak weak --features features --levels 1,2,4 --out taught
             cosup fit --features taught/X.npy --labels taught/labels.npz --out model
    """  # noqa: D301
    import numpy as np

    from cosup.embedding import FeatureStore
    from cosup.tasks import HeadRecipe, TeacherDesign, read_image_list, split_images, teach
    from cosup.tasks.annotations import save_annotations

    listed = read_image_list(images, layout, **layout_option)
    eyes, student = FeatureStore.open(weak), FeatureStore.open(features)
    lost = {*eyes.unreadable, *student.unreadable}
    listed = listed[np.array([path not in lost for path in listed.paths])]
    if not len(listed):
        raise CosupError(f"no image of {images} is left: all are unreadable")
    share = options.pop("share")
    shares = {"teachers": share, "student": 1 - share}
    recipe = HeadRecipe(options.pop("kind"), options.pop("iterations"))
    seed = options.pop("seed")
    parts = split_images(listed, "stratified", seed=seed, shares=shares)
    asked = parts["student"]
    with resumable(out):
        design = TeacherDesign(recipe=recipe, **options)
        labels = teach(listed, eyes, parts["teachers"], asked, design, folder=out / "teachers", seed=seed)
    paths = [listed.paths[i] for i in asked]
    save_annotations(out / "labels.npz", labels, listed.class_names)
    write_whole(out / "paths.txt", "".join(f"{path}\n" for path in paths))
    _save_rows(out / "X.npy", student, student.rows(paths))
    click.echo(f"{labels!r}\ntaught on {len(parts['teachers']):,} images; {out / 'labels.npz'}, {out / 'X.npy'}")


def _save_rows(path: Path, store: FeatureStore, rows: Any) -> None:
    import io

    import numpy as np

    file = io.BytesIO()
    np.save(file, store.take(rows), allow_pickle=False)
    write_whole(path, file.getvalue())

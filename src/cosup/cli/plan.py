"""The command that says beforehand what a job will take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from cosup.cli.options import PLUGIN
from cosup.cli.shell import names
from cosup.utils.errors import CosupError

__all__ = ["plan_command"]

FILE = click.Path(dir_okay=False, path_type=Path)


def _sizes(ctx: click.Context, parameter: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    """Numbers with commas between them."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: numbers with commas between them are expected, as in 1,4,16") from error


def _pixels(ctx: click.Context, parameter: click.Parameter, text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT."""
    width, _, height = text.partition("x")
    try:
        return int(width), int(height)
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: WIDTHxHEIGHT is expected, as in 500x375") from error


@click.command("plan")
@click.option("--images", type=int, metavar="N", help="Images to embed, teach and fit on.")
@click.option("--backbone", metavar="SOURCE:NAME", help="The student's, for --images. See cosup backbones.")
@click.option("--weak", metavar="SOURCE:NAME", help="The teachers' backbone.  [default: the student's]")
@click.option("--image-size", type=int, help="Side that networks see, in pixels.  [default: the backbone's own]")
@click.option("--pixels", default="500x375", show_default=True, callback=_pixels, metavar="WxH", help="Of the files.")
@click.option("--samples", type=int, metavar="N", help="Samples whose features exist, in place of --images.")
@click.option("--features", type=int, metavar="D", help="How many features they have.")
@click.option("--dtype", default="float16", show_default=True, help="Of the features: float16, float32, float64.")
@click.option("--classes", type=int, default=10, show_default=True, metavar="C")
@click.option("--teachers", type=int, metavar="M", help="A generalist and M - 1 specialists.  [default: 5]")
@click.option("--levels", callback=_sizes, metavar="1,4,16", help="Teachers a level, in place of --teachers.")
@click.option("--top-k", type=int, metavar="K",
              help="Annotations list K classes with probabilities (cosup teach: 5).  [default: class ids]")  # fmt: skip
@click.option("--unknown", is_flag=True, help="What specialists are good at is not known: gates are trained.")
@click.option("--method", "methods", help="One, or several with commas.  [default: co-supervised]")
@click.option("--seeds", type=int, default=1, show_default=True, metavar="S", help="Runs of each method.")
@click.option("--predict", "predictions", type=int, default=0, metavar="N", help="Samples to predict afterwards.")
@click.option("--cluster", "cluster_file", type=FILE, help="Machines, as .json or .toml.")
@click.option("--machines", type=int, metavar="K", help="How many, all alike.  [default: this one]")
@click.option("--cores", type=int, metavar="K", help="Of a machine.  [default: those of the machine measured]")
@click.option("--memory", type=float, metavar="GB", help="Of a machine.  [default: that of the machine measured]")
@click.option("--price", type=float, default=None, metavar="P", help="Of a machine for an hour.")
@click.option("--rates", "rates_file", "--measured", type=FILE, help="Rates of another machine, written by --measure.")
@click.option("--measure", type=FILE, help="Measure this machine anew and write its rates.")
@click.option(
    "--sharded", is_flag=True, help="Plan the design of benchmarks/studies/internet-scale.md, which is not built yet."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@PLUGIN
def plan_command(
    rates_file: Path | None, measure: Path | None, cluster_file: Path | None, as_json: bool, **options: Any
) -> None:
    """Say beforehand what a job takes: time, memory, disk, money.

    The first plan measures this machine for some seconds, and every backbone for a few more; later ones read what was
    measured. Times are one core's work at measured rates, for the machines given.

    \b
    Example: cosup plan --images 100000 --backbone lite:efficientnet-lite0 --teachers 15 --classes 100
             cosup plan --samples 1281167 --features 384 --classes 1000 --levels 1,2,4,8
             cosup plan --samples 20000 --features 384 --method vanilla,csl,co-supervised --seeds 10
             cosup plan --measure here.json --backbone lite:efficientnet-lite0
             cosup plan --images 100000000 --backbone lite:efficientnet-lite0 --rates here.json --cluster cluster.toml
    """  # noqa: D301
    from cosup.methods import DEFAULT
    from cosup.planning import Cluster, Job, measure_rates, plan, read_cluster, read_rates, render_plan, sizes_of

    machines = {"machines": "machines", "cores": "cores", "memory": "memory_gb", "price": "price"}
    given = {own: options.pop(name) for name, own in machines.items()}
    given = {name: value for name, value in given.items() if value is not None}
    if cluster_file is not None and given:
        raise CosupError(f"{cluster_file} says what the machines are; leave out {', '.join(sorted(given))}")
    pixels = options["pixels"]
    backbones = [(spec, options["image_size"]) for spec in (options["backbone"], options["weak"]) if spec]
    if measure is not None:
        rates = measure_rates(backbones, pixels=pixels, fresh=True)
        rates.save(measure)
        click.echo(f"the rates of {rates.machine} are in {measure}")
        if options["images"] is None and options["samples"] is None:
            return
    job = Job(
        levels=sizes_of(options.pop("teachers"), options.pop("levels")), known=not options.pop("unknown"),
        methods=names(options.pop("methods") or DEFAULT, "method"), **options,
    )  # fmt: skip
    if rates_file is not None:
        rates = read_rates(rates_file)
    elif measure is None:
        rates = measure_rates(backbones, pixels=pixels)
    cluster = None
    if cluster_file is not None:
        cluster = read_cluster(cluster_file)
    elif given:
        cluster = Cluster(
            **{"cores": rates.cores, "memory_gb": rates.memory / 1e9 or float("1e9"), "name": "these machines", **given}
        )
    found = plan(job, rates, cluster)
    click.echo(json.dumps(found.to_json(), indent=1) if as_json else render_plan(found))

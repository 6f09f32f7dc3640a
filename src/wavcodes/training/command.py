"""The command `wavcodes-train`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import registry
from ..errors import CodecError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; gives its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except CodecError as error:
        print(f"wavcodes-train: {error}", file=sys.stderr)
        return 65
    except KeyboardInterrupt:
        print("wavcodes-train: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser("wavcodes-train", description="Train or fine-tune a codec.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    prepare = commands.add_parser("prepare", help="decode sound once, for all runs")
    prepare.add_argument("sources", nargs="+", type=Path, metavar="AUDIO", help="files, folders, .tar or .parquet")
    prepare.add_argument("-o", "--output", required=True, type=Path, metavar="FOLDER")
    prepare.add_argument("--codec", default=registry.DEFAULT_CODEC, help="whose sample rate and channels (%(default)s)")
    prepare.set_defaults(run=_prepare)
    run = commands.add_parser("run", help="train, or go on where a run was interrupted")
    run.add_argument("recipe", type=Path, metavar="RECIPE.toml")
    run.add_argument("sound", type=Path, metavar="SOUND", help="folder that `prepare` made")
    run.add_argument("-o", "--output", required=True, type=Path, metavar="RUN", help="folder of the run")
    run.add_argument("--from", dest="start", metavar="WEIGHTS", help="begin with these, or with `published`")
    run.add_argument("--device", default="cpu", help="cpu, cuda or mps (%(default)s)")
    run.add_argument("--threads", type=int, help="of the processor")
    run.set_defaults(run=_run)
    export = commands.add_parser("export", help="write a run's best weights as the codec loads them, with a model card")
    export.add_argument("run_folder", type=Path, metavar="RUN")
    export.add_argument("-o", "--output", required=True, type=Path, metavar="FILE.safetensors")
    export.set_defaults(run=_export)
    return top


def _prepare(arguments: argparse.Namespace) -> None:
    from .corpus import prepare

    spec = registry.checkpoint(arguments.codec).spec
    corpus = prepare(arguments.sources, arguments.output, spec.sample_rate, spec.channels, _say)
    _say(f"{corpus.seconds / 3600:.2f} h to train on, in {arguments.output}")


def _run(arguments: argparse.Namespace) -> None:
    import torch

    from .corpus import Corpus
    from .recipe import read_recipe
    from .run import Run, pretrained

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    recipe = read_recipe(arguments.recipe)
    start = None
    if arguments.start:
        start = pretrained(recipe.codec, None if arguments.start == "published" else arguments.start)
    run = Run(recipe, Corpus(arguments.sound), arguments.output, start, arguments.device)
    run.train(lambda facts: _say("  ".join(f"{name} {value:.4g}" for name, value in facts.items())))


def _export(arguments: argparse.Namespace) -> None:
    from .export import export

    export(arguments.run_folder, arguments.output)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

"""The command `wavcodes-train`: prepares sound, trains a codec on it, and exports its weights.

`python -m wavcodes.cli.train` is the same, for programs that start modules, as `torchrun` does.
"""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from .. import registry
from ..programs import MissingProgram
from . import arguments, exits
from .main import guarded
from .report import Report


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command, as `wavcodes.cli.main` does its own; gives the exit code."""
    return guarded(parser, _run, argv, "no unfinished file is left, and a run goes on from its last checkpoint")


def parser() -> ArgumentParser:
    """The parser of `wavcodes-train`."""
    top, commands = arguments.program("wavcodes-train", "Trains or fine-tunes a codec.")
    prepare = arguments.subcommand(commands, "prepare", "decode sound once, for all runs", records=False)
    prepare.add_argument("sources", nargs="+", type=Path, metavar="AUDIO", help="files, folders, .tar or .parquet")
    prepare.add_argument("-o", "--output", required=True, type=Path, metavar="FOLDER")
    prepare.add_argument("--codec", default=registry.DEFAULT_CODEC, help="whose sample rate and channels (%(default)s)")
    run = arguments.subcommand(commands, "run", "train, or go on where a run was interrupted", records=False)
    run.add_argument("recipe", type=Path, metavar="RECIPE.toml")
    run.add_argument("sound", type=Path, metavar="SOUND", help="folder that `prepare` made")
    run.add_argument("-o", "--output", required=True, type=Path, metavar="RUN", help="folder of the run")
    run.add_argument("--from", dest="start", metavar="WEIGHTS", help="begin with these, or with `published`")
    run.add_argument("--teacher", metavar="WEIGHTS", help="of the recipe's teacher, if they are not downloaded")
    run.add_argument("--device", default="cpu", help="cpu, cuda or mps (%(default)s)")
    run.add_argument("--threads", type=arguments.threads, metavar="N", help="of the processor")
    export = arguments.subcommand(
        commands, "export", "write a run's best weights as the codec loads them, with a model card", records=False
    )
    export.add_argument("run", type=Path, metavar="RUN", help="folder of the run")
    export.add_argument("-o", "--output", required=True, type=Path, metavar="FILE.safetensors")
    return top


def _run(parsed: Namespace, report: Report) -> int:
    try:
        {"prepare": _prepare, "run": _train, "export": _export}[parsed.command](parsed, report)
    except ImportError as error:
        raise MissingProgram(
            f"wavcodes-train {parsed.command} needs PyTorch and msgspec; install the extra: "
            f"pip install 'wavcodes[torch]' ({error})"
        ) from error
    return exits.OK


def _prepare(parsed: Namespace, report: Report) -> None:
    from ..training.corpus import prepare

    spec = registry.checkpoint(parsed.codec).spec
    corpus = prepare(parsed.sources, parsed.output, spec.sample_rate, spec.channels, report.note)
    report.note(f"{corpus.seconds / 3600:.2f} h to train on, in {parsed.output}")


def _train(parsed: Namespace, report: Report) -> None:
    from ..training.corpus import Corpus
    from ..training.recipe import read_recipe
    from ..training.run import Run, pretrained

    recipe = read_recipe(parsed.recipe)
    start = None
    if parsed.start:
        start = pretrained(recipe.codec, None if parsed.start == "published" else parsed.start)
    run = Run(recipe, Corpus(parsed.sound), parsed.output, start, parsed.device, parsed.threads, parsed.teacher)
    run.train(lambda facts: report.note("  ".join(f"{name} {value:.4g}" for name, value in facts.items())))


def _export(parsed: Namespace, report: Report) -> None:
    from ..training.export import export

    export(parsed.run, parsed.output)


if __name__ == "__main__":
    sys.exit(main())

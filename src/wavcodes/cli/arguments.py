"""The command line: names, help, and what values look like."""

import argparse
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

from .. import __version__

_EXIT_CODES = """\
exit codes: 0 done, 1 some of several inputs failed, 2 wrong command line, 65 wrong or damaged data, or what this
machine or build cannot do, 66 no such input, 69 weights, a program or a package not available, 70 a bug here or in such
a program, 71 out of memory, 73 output exists or cannot be created, 74 disk full or I/O error, 77 no permission, 129
the terminal is gone, 130 interrupted, 141 nobody reads the output any more, 143 terminated"""

_FORMATS = "layout, where a suffix has several: ecdc, ecdc-crc32c, ecdc-hermes; snac, snac-v1"
_LESS = "decode only this much of the payload; of Lyra's packets, whose size may be open, that size"
_FORCE = "replace existing files; decode even with other weights than those that a file states"
_PRECISION = "bf16, only on processors with AMX, is faster and not exactly the same (default: float32)"
_CONTENDERS = "such as wavcodes_16khz@3,6 lyra_v2, and opus@9,12 mp3 lpcnet; without @KBPS the default"
_THEIRS = "file, folder or hub repository of a codec's weights; as often as needed"
_MODE = "measure at 16 kHz, or sound of any kind at 48 kHz (default: speech)"
_LONGEST = 1e9  # seconds, about 30 years; rates times longer times leave the range of what can be counted


class _Command(argparse.ArgumentParser):
    """Takes names before, between and behind options; what it does not know, it tells with its own usage."""

    _mixing = False

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """See `ArgumentParser`, whose parser of mixed arguments comes back here."""
        if self._mixing:
            return super().parse_known_args(args, namespace)
        self._mixing = True
        try:
            plain = "--" in (args or ())  # which the other parser loses
            parse = super().parse_known_args if plain else self.parse_known_intermixed_args
            found, rest = parse(args, namespace)
        finally:
            self._mixing = False
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        return found, rest


Commands: TypeAlias = "argparse._SubParsersAction[_Command]"


def parser() -> argparse.ArgumentParser:
    """The parser of `wavcodes`."""
    top, commands = program("wavcodes", "Turns sound into the codes of neural audio codecs, and back.")
    top.set_defaults(default_codec=None)  # what the suffix and variables of compress and decompress mean

    encode = subcommand(
        commands, "encode", "audio files to files of codes (.nac)", "The suffix of a named output chooses the codec."
    )
    _add_files(
        encode,
        "audio files, or - for standard input",
        "output: .nac, .ecdc, .snac, .dac, .lyra, or - for standard output",
    )
    encode.add_argument("--codec", metavar="NAME", help="wavcodes codecs lists them (default: by the output's suffix)")
    books = encode.add_mutually_exclusive_group()
    books.add_argument("--bandwidth", type=kbps, metavar="KBPS", help="payload in kbps (default: the codec's own)")
    books.add_argument("--num-codebooks", type=codebooks, metavar="N", help="only the first N codebooks")
    encode.add_argument("--format", metavar="NAME", help=_FORMATS)
    _add_lm(encode)
    _add_work(encode)

    decode = subcommand(commands, "decode", "files of codes to audio files (.wav)")
    _add_files(
        decode,
        "files of codes, or - for standard input",
        "output: .wav, .flac, .ogg, .opus, .mp3; with FFmpeg .m4a, .mp4, .aac, .mka; or - for a WAV on standard output",
    )
    decode.add_argument("--codec", metavar="NAME", help="codec of files that do not state theirs")
    decode.add_argument("--bandwidth", type=kbps, metavar="KBPS", help=_LESS)
    decode.add_argument(
        "--salvage", action="store_true", help="decode what is intact of damaged .nac files; silence between"
    )
    _add_lm_weights(decode)
    _add_work(decode)

    compress = subcommand(
        commands,
        "compress",
        "one audio file to a file whose name chooses the codec",
        "Like encode for one file; other programs' codecs go, too, and the variables of docs/compress.md count.",
    )
    _add_pair(
        compress,
        "audio file, or - for standard input",
        ".ecdc, .snac, .dac, .nac, .lyra, .lpcnet, .nesc, .semanticodec, .sac",
    )
    compress.add_argument("--codec", metavar="NAME", help="another that the file can hold; wavcodes codecs lists them")
    compress.add_argument("--bandwidth", type=kbps, metavar="KBPS", help="payload in kbps")
    compress.add_argument("--format", metavar="NAME", help=_FORMATS)
    compress.set_defaults(num_codebooks=None)
    _add_lm(compress)

    decompress = subcommand(
        commands,
        "decompress",
        "one compressed file to an audio file",
        "Like decode for one file; other programs' codecs go, too, and the variables of docs/compress.md count.",
    )
    _add_pair(decompress, "compressed file, or - for standard input", "audio file, of the formats that decode writes")
    decompress.add_argument("--codec", metavar="NAME", help="codec of a file that does not state its own")
    decompress.add_argument("--bandwidth", type=kbps, metavar="KBPS", help=_LESS)
    decompress.set_defaults(salvage=False)
    _add_lm_weights(decompress)

    convert = subcommand(commands, "convert", "files of codes to another container, or to fewer codebooks")
    _add_files(
        convert,
        "files of codes, or - for standard input",
        "output: .nac, .ecdc, .snac, .dac, .lyra, or - for standard output",
    )
    convert.add_argument("--codec", metavar="NAME", help="codec of files that do not state theirs")
    fewer = convert.add_mutually_exclusive_group()
    fewer.add_argument("--bandwidth", type=kbps, metavar="KBPS", help="keep only this much of the payload")
    fewer.add_argument("--num-codebooks", type=codebooks, metavar="N", help="keep only the first N codebooks")
    convert.add_argument(
        "--format", metavar="NAME", help=f"{_FORMATS}; it also gives the suffix of outputs without a name"
    )
    _add_lm_weights(convert)

    info = subcommand(commands, "info", "what the header of files of codes says")
    test = subcommand(commands, "test", "read files of codes whole, with every check that they offer")
    for command in (info, test):
        command.add_argument("inputs", nargs="+", metavar="FILE", help="files of codes, or - for standard input")
        command.add_argument("--codec", metavar="NAME", help="codec of files that do not state theirs")
        command.add_argument("--bandwidth", type=kbps, metavar="KBPS", help="of Lyra's packets, whose size may be open")
    _add_lm_weights(test)

    evaluate = subcommand(
        commands,
        "eval",
        "codecs over clips, measured: a table on standard output",
        "ViSQOL, STOI, SI-SDR, SNR, distances of spectra, real bit rate and speed; docs/eval.md says what they are.",
        records=False,
    )
    evaluate.add_argument("inputs", nargs="+", metavar="CLIP", help="audio files, or folders of them")
    _add_contenders(evaluate)
    evaluate.add_argument("--json", dest="json_file", metavar="FILE", help="every measurement, the means and failures")
    evaluate.add_argument("--plot", metavar="FILE", help="the metrics over the real bit rate, .svg or .png")
    evaluate.add_argument("-f", "--force", action="store_true", help="replace existing files")

    compare = subcommand(
        commands,
        "compare",
        "what codecs make of one clip, as a page of HTML to hear and see it",
        "The page holds all that it needs and loads nothing; docs/compare.md says what is on it.",
    )
    compare.add_argument("inputs", nargs=1, metavar="FILE", help="audio file, or - for standard input")
    _add_contenders(compare)
    compare.add_argument("-o", "--output", metavar="OUT", help="the page, .html (default: beside the input)")
    compare.add_argument("-f", "--force", action="store_true", help="replace an existing page")
    _add_stretch(compare)
    compare.set_defaults(output_dir=None)

    subcommand(commands, "codecs", "table of the codecs")

    download = subcommand(commands, "download", "fetch and verify weights")
    download.add_argument("names", nargs="*", metavar="NAME", help="codecs, see wavcodes codecs")
    download.add_argument("--all", action="store_true", help="all codecs")
    return top


def program(name: str, description: str) -> tuple[argparse.ArgumentParser, Commands]:
    """The parser of a program of this package, and what its commands are added to; the chosen one is in `command`."""
    top = argparse.ArgumentParser(
        prog=name,
        description=description,
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"{name} {__version__}")
    return top, top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Command)


def subcommand(
    commands: Commands, name: str, text: str, more: str = "", records: bool = True
) -> argparse.ArgumentParser:
    """A command of a program, with the options that all have, but `--json` only with `records`."""
    description = f"{text[0].upper()}{text[1:]}. {more}".rstrip()
    command = commands.add_parser(name, help=text, description=description, allow_abbrev=False)
    command.add_argument("-q", "--quiet", action="count", default=0, help="no messages but errors; -qq: nothing at all")
    command.add_argument("-v", "--verbose", action="store_true", help="details, and tracebacks of errors")
    if records:
        command.add_argument("--json", action="store_true", help="one JSON object per input on standard output")
    else:
        command.set_defaults(json=False)
    return command


def _add_files(command: argparse.ArgumentParser, inputs: str, output: str) -> None:
    command.add_argument("inputs", nargs="+", metavar="FILE", help=f"{inputs}; of two, the second may be the output")
    command.add_argument("-o", "--output", metavar="OUT", help=f"{output} (default: beside the input)")
    command.add_argument("--output-dir", metavar="DIR", help="folder for the outputs; made if it is not there")
    command.add_argument("-f", "--force", action="store_true", help=_FORCE)


def _add_pair(command: argparse.ArgumentParser, source: str, target: str) -> None:
    command.add_argument("inputs", nargs=1, metavar="IN", help=source)
    command.add_argument("output", metavar="OUT", help=target)
    command.add_argument("-f", "--force", action="store_true", help=_FORCE)
    command.add_argument("--weights", metavar="PATH", help="file, folder or hub repository of the weights")
    command.add_argument("--threads", type=threads, metavar="N", help="the result is the same with any number")
    command.add_argument("--timeout", type=_limit, metavar="SECONDS", help="for each other program that does the work")
    command.set_defaults(output_dir=None, start=None, stop=None, precision="float32")


def _add_lm(command: argparse.ArgumentParser) -> None:
    command.add_argument("-l", "--lm", action="store_true", help="code an .ecdc with Meta's language model: smaller")
    _add_lm_weights(command)


def _add_lm_weights(command: argparse.ArgumentParser) -> None:
    command.add_argument("--lm-weights", metavar="PATH", help="file or folder of the language model's weights")


def _add_work(command: argparse.ArgumentParser) -> None:
    command.add_argument("--weights", metavar="PATH", help="file, folder or hub repository of the weights")
    command.add_argument("--threads", type=threads, metavar="N", help="default: all cores; the result is the same")
    command.add_argument("--precision", choices=("float32", "bf16"), default="float32", help=_PRECISION)
    _add_stretch(command)


def _add_stretch(command: argparse.ArgumentParser) -> None:
    command.add_argument("--from", type=_seconds, dest="start", metavar="TIME", help="seconds, or m:ss(.s), or h:mm:ss")
    command.add_argument("--to", type=_seconds, dest="stop", metavar="TIME", help="end, in the same way")


def _add_contenders(command: argparse.ArgumentParser) -> None:
    command.add_argument("--codecs", nargs="+", required=True, metavar="NAME@KBPS", help=_CONTENDERS)
    command.add_argument("--weights", action=_Weights, default={}, type=_weights, metavar="NAME=PATH", help=_THEIRS)
    command.add_argument("--mode", choices=("speech", "audio"), default="speech", help=_MODE)


def threads(text: str) -> int:
    """A number of threads.

    Raises:
        ArgumentTypeError: It is none.
    """
    return _count(text, "threads")


def codebooks(text: str) -> int:
    """A number of codebooks.

    Raises:
        ArgumentTypeError: It is none.
    """
    return _count(text, "codebooks")


def _count(text: str, what: str) -> int:
    if text.isdecimal() and int(text) >= 1:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a number of {what}, 1 or more, got {text!r}")


def _seconds(text: str) -> float:
    """`90`, `90.5`, `1:30`, `1:30.5` or `1:02:03` in seconds."""
    *upper, last = text.split(":")
    seconds = _number(last)
    well_formed = len(upper) <= 2 and all(part.isdecimal() for part in upper)
    if not well_formed or not 0 <= seconds < math.inf or (upper and seconds >= 60):
        raise argparse.ArgumentTypeError(f"expected a time such as 90, 1:30 or 1:02:03.5, got {text!r}")
    for power, part in enumerate(reversed(upper), start=1):
        seconds += float(part) * 60**power
    if seconds > _LONGEST:
        raise argparse.ArgumentTypeError(f"expected a time of at most {_LONGEST:.0f} s, got {seconds:g} s")
    return seconds


def kbps(text: str) -> float:
    """A bandwidth such as `6` or `1.5`.

    Raises:
        ArgumentTypeError: It is none.
    """
    number = _number(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number of kbps such as 6 or 1.5, got {text!r}")
    return number


def _weights(text: str) -> tuple[str, str]:
    """`lyra_v2=some/folder`: a codec and its weights."""
    name, _, path = text.partition("=")
    if not name or not path:
        raise argparse.ArgumentTypeError(f"expected a codec and its weights such as lyra_v2=FOLDER, got {text!r}")
    return name, path


class _Weights(argparse.Action):
    """Collects those of several codecs, by the codec's name."""

    def __call__(
        self, parser: argparse.ArgumentParser, parsed: argparse.Namespace, value: Any, option: str | None = None
    ) -> None:
        found, (name, path) = getattr(parsed, self.dest), value
        if name in found:
            raise argparse.ArgumentError(self, f"expected one path for {name}, got {found[name]} and {path}")
        setattr(parsed, self.dest, {**found, name: path})


def _limit(text: str) -> float:
    seconds = _number(text)
    if not 0 < seconds <= _LONGEST:
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, got {text!r}")
    return seconds


def _number(text: str) -> float:
    """NaN where `text` is no number. Underscores are for source code only."""
    try:
        return math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan

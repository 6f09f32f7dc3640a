"""`wavcodes decode`: files of codes to audio files, in memory that does not grow with their length."""

from __future__ import annotations

import time
from argparse import Namespace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from ..audio import SUFFIXES
from ..containers import Header
from ..errors import FormatError, InputError, IntegrityError
from . import facts, jobs, sounds, sources
from .jobs import Job
from .players import Models, Player, SalvagePlayer, open_player
from .report import Report

if TYPE_CHECKING:
    from ..codec import Codec


def run(arguments: Namespace, report: Report) -> int:
    """Decodes all inputs and gives the exit code."""
    planned = jobs.plan(arguments, SUFFIXES)

    from ..codec import load
    from ..descript import DacDecoder

    where = {"weights": arguments.weights, "threads": arguments.threads, "precision": arguments.precision}
    models = Models(cache(partial(load, parts="decode", **where)), cache(partial(DacDecoder, **where)))
    return jobs.run(planned, lambda job: _decode(job, models, arguments, report), report)


def _decode(job: Job, models: Models, arguments: Namespace, report: Report) -> None:
    began = time.monotonic()
    suffix = jobs.check_target(job, SUFFIXES, arguments.force)
    with sources.opened_codes(job) as (format, file):
        player = open_player(format, file, arguments, models)
        header, rate = player.header, player.sample_rate
        _check(header, player.codec, job, arguments.force, report)
        num_codebooks = _num_codebooks(header, player.codec, arguments.bandwidth)
        start, stop = _stretch(job, player, arguments)
        more: dict[str, Any] = {}
        if isinstance(player, SalvagePlayer):
            report.note(f"{job.source_name}: {player.salvage.report().replace(chr(10), '; ')}")
            lost = player.salvage.lost
            more["lost"] = [[header.time(a), None if b is None else header.time(b)] for a, b in lost]
        length = None if stop is None or player.num_samples is None else stop - start
        done = 0
        with (
            jobs.opened_target(job) as out,
            sounds.SoundOutput(report, job, out, suffix, rate, player.channels, length) as writer,
            report.progress(job.source_name, None if length is None else length / rate) as progress,
        ):
            for piece in player.play(num_codebooks, start, stop):
                writer.write(piece)
                done += piece.shape[1]
                progress.update(done / rate)
            if not done:
                raise InputError(
                    f"{job.source_name}: expected audio to decode, but there is none in what was asked for"
                )
    if writer.clipped:
        report.detail(f"{job.target_name}: {writer.clipped} samples beyond full scale were clipped")
    sound = {"sample_rate": rate, "channels": player.channels, "duration": done / rate, "clipped": writer.clipped}
    told = {**facts.of_header(header, done), **sound, **more}
    facts.tell(report, job, told, time.monotonic() - began)


def _check(header: Header, codec: Codec, job: Job, force: bool, report: Report) -> None:
    """Compares what the file says about its codec with the codec."""
    spec, stated = codec.spec, header.framing
    expected = spec.framing(min(stated.num_codebooks, spec.num_codebooks))
    if fact := expected.difference(stated):
        raise FormatError(
            f"{job.source_name}: expected {fact} = {getattr(expected, fact)} for {spec.name}, "
            f"got {getattr(stated, fact)}; it was written by another program or version"
        )
    if header.weights_digest not in (None, codec.weights_digest):
        other = f"{job.source_name}: was encoded with other weights of {spec.name} than those loaded here"
        if not force:
            raise IntegrityError(f"{other}; name the same with --weights, or use -f to decode it all the same")
        report.note(f"{other}; decoded all the same")


def _num_codebooks(header: Header, codec: Codec, bandwidth: float | None) -> int:
    framing = header.framing
    if bandwidth is None:
        return framing.num_codebooks
    wanted = codec.spec.resolve_codebooks(bandwidth)
    if wanted > framing.num_codebooks:
        raise InputError(
            f"expected a bandwidth of at most {framing.bandwidth:g} kbps, which this file has, got {bandwidth:g}"
        )
    return wanted


def _stretch(job: Job, player: Player, arguments: Namespace) -> tuple[int, int | None]:
    """The samples that `--from` and `--to` select; the end is None where it is not known yet."""
    rate, whole = player.sample_rate, player.num_samples
    start = round((arguments.start or 0.0) * rate)
    ends = [whole, None if arguments.stop is None else round(arguments.stop * rate)]
    stop = min((end for end in ends if end is not None), default=None)
    if stop is not None and not start < stop:
        length = "" if whole is None else f" lasts {whole / rate:.3f} s;"
        raise InputError(f"{job.source_name}:{length} --from {arguments.start or 0:g} selects nothing of it")
    return start, stop

"""Finding the format of a file, and files that are written completely or not at all."""

import errno
import io
import os
import resource
import signal
import stat
import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import wavcodes
from wavcodes import files
from wavcodes.codes import Codes
from wavcodes.containers import FORMATS, Header, open_reader, open_writer, read, start_writer, write
from wavcodes.containers.base import HEAD
from wavcodes.containers.lyra import LyraReader
from wavcodes.containers.nac import NacReader
from wavcodes.errors import CodecError, FormatError, InputError, ResourceError, TruncatedError, UnsupportedError
from wavcodes.files import atomic_output
from wavcodes.framing import Framing
from wavcodes.spec import CodecSpec, WeightSource


def clip(frames=70, num_codebooks=16):
    books = np.random.default_rng(0).integers(0, 16, (num_codebooks, frames))
    return Codes(Framing("lyra_v2", 16_000, 1, 320, 16, (1,) * num_codebooks), tuple(books), 320 * frames)


# A codec that the formats of each suffix can hold.
CODECS = {
    ".nac": "lyra_v2",
    ".lyra": "lyra_v2",
    ".ecdc": "encodec_24khz",
    ".snac": "snac_24khz",
    ".dac": "dac_44khz",
}


def clip_for(format):
    spec = wavcodes.spec(CODECS[format.suffix])
    framing = spec.framing()
    num_samples = 8 * framing.step_samples
    count = framing.num_frames(num_samples) // framing.cycle * framing.cycle_codes
    flat = np.random.default_rng(0).integers(0, spec.codebook_size, count)
    return Codes.from_flat(flat, spec, num_samples=num_samples)


WRITTEN = [each for each in FORMATS if each.writer]


@pytest.mark.parametrize("format", WRITTEN, ids=lambda each: each.name)
def test_write_and_read(tmp_path, format):
    path, codes = tmp_path / f"speech{format.suffix.upper()}", clip_for(format)
    write(path, codes, format=format)
    assert read(path, framing=codes.framing) == read(str(path), framing=codes.framing) == codes
    with open(path, "rb") as file:
        assert read(file, framing=codes.framing) == codes
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("format", WRITTEN, ids=lambda each: each.name)
def test_no_file_is_recognised_as_one_of_another_suffix(tmp_path, format):
    path = tmp_path / "a"
    write(path, clip_for(format), format=format)
    recognising = [each for each in FORMATS if each.recognises(path.read_bytes()[:HEAD])]
    assert len(recognising) == (format.suffix != ".lyra")
    assert all(each.suffix == format.suffix for each in recognising)


def test_a_name_is_no_format(tmp_path):
    with pytest.raises(InputError, match=r"expected a format, one of wavcodes\.containers\.FORMATS, got 'ecdc'"):
        write(tmp_path / "a.ecdc", clip_for(FORMATS[1]), format="ecdc")
    assert not list(tmp_path.iterdir())


def test_each_name_belongs_to_one_format():
    assert len({each.name for each in FORMATS}) == len(FORMATS)


def test_content_decides_before_the_name(tmp_path):
    write(tmp_path / "a.nac", clip())
    os.rename(tmp_path / "a.nac", tmp_path / "a.lyra")
    assert read(tmp_path / "a.lyra") == clip()


def test_from_a_pipe_by_content_and_by_name(tmp_path):
    for suffix, kind in ((".nac", NacReader), (".lyra", LyraReader)):
        path = tmp_path / f"a{suffix}"
        write(path, clip())
        data = path.read_bytes()
        out, into = os.pipe()
        with open(out, "rb") as reading:

            def produce(into=into, data=data):
                with open(into, "wb") as writing:
                    writing.write(data)

            thread = threading.Thread(target=produce)
            thread.start()
            reader = open_reader(reading, "" if suffix == ".nac" else "-.lyra", framing=clip().framing)
            assert isinstance(reader, kind)
            assert reader.read() == clip()
            thread.join()


def test_open_writer_with_the_facts_of_a_codec():
    spec = CodecSpec("c", 16_000, 2, 320, 4, 1024, (1.0,), 1.0, WeightSource((), "MIT"), (1,) * 4, tail_frames=1)
    books = np.random.default_rng(0).integers(0, 1024, (3, 9))
    file = io.BytesIO()
    writer = open_writer(file, "x.nac", Header(spec.framing(3), weights_digest=bytes(range(32))))
    writer.write(Codes.of(spec, tuple(books), 8 * 320))
    writer.close()
    file.seek(0)
    reader = open_reader(file)
    assert reader.header == Header(Framing("c", 16_000, 2, 320, 1024, (1, 1, 1), 1), None, bytes(range(32)))
    assert reader.read() == Codes.of(spec, tuple(books), 8 * 320)


def test_a_framing_of_the_caller_must_agree_with_the_file(tmp_path):
    write(tmp_path / "a.nac", clip())
    for num_codebooks in (16, 46):
        assert read(tmp_path / "a.nac", framing=clip(num_codebooks=num_codebooks).framing) == clip()
    with pytest.raises(InputError, match="leave the framing out"):
        read(tmp_path / "a.nac", framing=clip(num_codebooks=8).framing)
    with pytest.raises(InputError, match="codec = 'encodec_24khz', as the caller says, but it states 'lyra_v2'"):
        read(tmp_path / "a.nac", framing=wavcodes.spec("encodec_24khz").framing())


@pytest.mark.parametrize("name", ["a.wav", "a", "a.nac.txt", ""])
def test_an_unknown_suffix_is_refused_before_anything_is_written(tmp_path, name):
    with pytest.raises(InputError, match=r"ends in one of \.nac, "):
        write(tmp_path / name if name else "", clip())
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("data", [b"", b"RIFF\0\0\0\0WAVE", b"hello"])
def test_what_is_no_file_of_codes_is_refused(data):
    with pytest.raises(FormatError, match=r"expected a file of codes \(\.nac, "):
        read(io.BytesIO(data))


def test_a_file_that_only_is_called_nac_is_refused(tmp_path):
    (tmp_path / "a.nac").write_text(
        "this is a text, and it is longer than the header of a real file would be: 82 bytes"
    )
    with pytest.raises(FormatError, match=r"expected a \.nac file"):
        read(tmp_path / "a.nac")
    (tmp_path / "a.nac").write_bytes(b"")
    with pytest.raises(TruncatedError, match="header"):
        read(tmp_path / "a.nac")


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*missing\.nac"):
        read(tmp_path / "missing.nac")
    with pytest.raises(InputError, match="it is a folder"):
        read(tmp_path)
    (tmp_path / "folder.nac").mkdir()
    with pytest.raises(InputError, match="it is a folder"):
        write(tmp_path / "folder.nac", clip())
    with pytest.raises(InputError, match="check the path"):
        write(tmp_path / "missing" / "a.nac", clip())


# ---- complete or not at all


def test_an_existing_file_is_replaced_at_the_end_and_only_then(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with atomic_output(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("error", [CodecError("x"), ValueError("x"), KeyboardInterrupt(), SystemExit(1)])
def test_any_error_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def interrupted():
        with atomic_output(path) as file:
            file.write(b"new")
            raise error

    with pytest.raises(type(error)):
        interrupted()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_codes_that_a_format_cannot_hold_leave_nothing(tmp_path):
    with pytest.raises(UnsupportedError):
        write(tmp_path / "a.lyra", clip(num_codebooks=17))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_is_full_when_the_file_is_synced(tmp_path, monkeypatch, code):
    def fail(descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(ResourceError, match=r"cannot write .*a\.nac: .*; free some"):
        write(tmp_path / "a.nac", clip())
    assert os.listdir(tmp_path) == []


def test_a_file_that_may_not_grow(tmp_path):
    """A real refusal of the kernel in the middle of writing, through the limit on the size of files."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        with pytest.raises(ResourceError, match=r"cannot write .*a\.nac"):
            write(tmp_path / "a.nac", clip(frames=10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("format", WRITTEN, ids=lambda each: each.name)
def test_what_no_writer_takes(format):
    codes = clip_for(format)
    header, start = Header.of_codes(codes), partial(start_writer, format, io.BytesIO())
    writer = start(header)
    with pytest.raises(InputError, match="codec"):
        writer.write(replace(codes, framing=replace(codes.framing, codec="mimi")))
    writer.write(codes)
    writer.close()
    writer.close()
    with pytest.raises(InputError, match="this file is complete"):
        writer.write(codes)
    ended = start(replace(header, num_samples=None))
    ended.write(replace(codes, num_samples=codes.num_samples - 1))
    with pytest.raises(InputError, match="fewer samples than its frames hold"):
        ended.write(codes)
    short = start(replace(header, num_samples=codes.num_samples + 1))
    short.write(codes)
    with pytest.raises(InputError, match=f"states {codes.num_samples + 1} samples, the parts hold {codes.num_samples}"):
        short.close()


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_no_permission(tmp_path, monkeypatch, code):
    def fail(*args, **options):
        raise OSError(code, os.strerror(code))

    write(tmp_path / "a.nac", clip())
    monkeypatch.setattr("builtins.open", fail)
    with pytest.raises(ResourceError, match=r"cannot read .*a\.nac: .*; choose a place"):
        read(tmp_path / "a.nac")
    with pytest.raises(ResourceError, match=r"cannot write .*b\.nac: .*; choose a place"):
        write(tmp_path / "b.nac", clip())
    assert os.listdir(tmp_path) == ["a.nac"]


def test_permissions_follow_the_umask_and_links_are_kept(tmp_path):
    umask = os.umask(0o027)
    try:
        write(tmp_path / "real.nac", clip())
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "real.nac").stat().st_mode) == 0o640
    (tmp_path / "link.nac").symlink_to("real.nac")
    write(tmp_path / "link.nac", clip(frames=3))
    assert (tmp_path / "link.nac").is_symlink()
    assert read(tmp_path / "real.nac") == clip(frames=3)
    assert stat.S_IMODE((tmp_path / "real.nac").stat().st_mode) == 0o640


def test_devices_are_written_to_and_not_replaced():
    with atomic_output("/dev/null") as file:
        file.write(b"x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(ResourceError, match="/dev/full: No space left on device"), atomic_output("/dev/full") as file:
        file.write(b"x")


def test_reading_opens_nothing_and_leaves_nothing_open(tmp_path, recwarn):
    write(tmp_path / "a.nac", clip())
    data = (tmp_path / "a.nac").read_bytes()
    (tmp_path / "a.nac").write_bytes(data[:-1])
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(TruncatedError):
            read(tmp_path / "a.nac")
    assert len(os.listdir("/proc/self/fd")) == before
    assert not recwarn.list


@pytest.mark.parametrize("name", ["max_samples", "max_bytes", "max_expansion"])
@pytest.mark.parametrize("value", [-1, 1.5, None, "9"])
def test_limits_are_whole_numbers(name, value):
    with pytest.raises(InputError, match=name):
        wavcodes.Limits(**{name: value})


def test_a_limit_on_samples_says_at_least_how_many_there_are(tmp_path):
    wavcodes.write(tmp_path / "a.nac", clip(frames=259))
    with pytest.raises(wavcodes.LimitError, match=r"at most 600 samples, got one of [0-9,]+ or more"):
        wavcodes.read(tmp_path / "a.nac", limits=wavcodes.Limits(max_samples=600))

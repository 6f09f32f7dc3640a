"""Reading and writing whole records, and output files that appear complete or not at all."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .errors import CodecError, InputError, ResourceError, TruncatedError

# A read asks for no more than this at once, so that an announced length takes memory only as its bytes arrive.
_READ = 1 << 16


def read_up_to(file: BinaryIO, size: int) -> bytes:
    """`size` bytes, or fewer at the end of the file; pipes that give less per call are read again.

    Raises:
        ResourceError: The operating system cannot read.
    """
    parts = []
    with _os_errors("read", getattr(file, "name", "the input")):
        while size and (part := file.read(min(size, _READ))):
            parts.append(part)
            size -= len(part)
    return b"".join(parts)


def read_exactly(file: BinaryIO, size: int, what: str) -> bytes:
    """Exactly `size` bytes of `what`.

    Raises:
        TruncatedError: The file ends before them.
        ResourceError: The operating system cannot read.
    """
    data = read_up_to(file, size)
    if len(data) != size:
        raise TruncatedError(
            f"the file ends inside {what}: expected {size} bytes, got {len(data)}; it was cut, fetch or copy it again"
        )
    return data


def write_all(file: BinaryIO, data: bytes, name: str | None = None) -> None:
    """Writes all of `data`, also to raw files, which may take only a part of it per call.

    Args:
        file: Binary file.
        data: Bytes.
        name: What messages call the file; its own name by default.

    Raises:
        ResourceError: The disk is full or the file cannot be written.
    """
    rest = memoryview(data)
    with _os_errors("write", name or getattr(file, "name", "the output")):
        while rest:
            rest = rest[file.write(rest) :]


def check_space(file: BinaryIO) -> None:
    """Writes one byte behind the end of a file on disk, and takes it back. Libraries and programs that were to write it
    may not tell what the system's error was, or nothing at all; but then this byte finds no place either.

    Raises:
        ResourceError: It finds none.
    """
    descriptor = file.fileno()
    try:
        file.flush()  # what is written later would go behind this byte
        end = os.lseek(descriptor, 0, os.SEEK_END)
        os.write(descriptor, b"\0")
        os.ftruncate(descriptor, end)
    except OSError as error:
        raise ResourceError(f"cannot write audio: {error.strerror}; free some space, or write elsewhere") from error


@contextmanager
def open_input(source: str | os.PathLike[str] | BinaryIO) -> Iterator[BinaryIO]:
    """The open file `source`, or the file at the path `source`, closed at the end.

    Raises:
        InputError: There is no such file, or there can be none of that name.
        ResourceError: It cannot be opened.
    """
    if not isinstance(source, str | os.PathLike):
        yield source
        return
    _check_path(source)
    with _os_errors("read", source):
        file = open(source, "rb")  # noqa: SIM115 (closed below, where errors are the caller's own)
    with file:
        yield file


@contextmanager
def atomic_output(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file that becomes `path` when the block ends; after an error nothing is left and `path` is untouched.

    It is written beside `path` under a temporary name, synced and renamed. What is no regular file (a device, a
    named pipe) is written to directly.

    Raises:
        InputError: `path` is a folder, its folder does not exist, or there can be no file of that name.
        ResourceError: No space, no permission.
    """
    _check_path(path)
    with _os_errors("write", path):
        if os.path.isdir(path):
            raise InputError(f"cannot write {path}: it is a folder; name a file")
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "wb") as device:  # by this name: where /dev/stdout leads to, a pipe has none
                yield device
            return
        target = Path(os.path.realpath(path))
        temporary = target.with_name(f".wavcodes-{os.urandom(6).hex()}.part")
        try:  # before the file exists: an interruption may come as soon as it does
            # Opened under the final name, so that messages about this file name what the caller knows.
            with open(path, "xb", opener=lambda _, flags: os.open(temporary, flags, 0o666)) as file:
                try:
                    with suppress(OSError):  # one that replaces another is not for more eyes than that
                        os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                    file.close()  # before the renaming, which Windows refuses for open files
                    os.replace(temporary, target)
                except BaseException:
                    with suppress(OSError):  # closing flushes, and fails on a full disk like the write before it
                        file.close()
                    raise
        finally:
            temporary.unlink(missing_ok=True)  # once renamed, it is not there


def make_folder(path: Path) -> None:
    """Makes a folder, and those that it is in, if it is not there.

    Raises:
        InputError: Its place does not exist.
        ResourceError: A file has its name, or no space, no permission.
    """
    with _os_errors("make the folder", path):
        path.mkdir(parents=True, exist_ok=True)


def _check_path(path: str | os.PathLike[str]) -> None:
    try:
        possible = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise InputError(f"expected the path of a file, got {os.fspath(path)!r}, which no file can have; check it")


_REMEDIES = {
    errno.ENOSPC: "free some space or write to another disk",
    errno.EDQUOT: "free some of your quota or write to another disk",
    errno.EACCES: "choose a place that you may use, or change its permissions",
    errno.EPERM: "choose a place that you may use, or change its permissions",
    errno.EROFS: "choose a place that can be written",
    errno.EPIPE: "the program that reads it has ended",
}


@contextmanager
def _os_errors(verb: str, path: object) -> Iterator[None]:
    try:
        yield
    except CodecError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"cannot {verb} {path}: {error.strerror or error}; check the path") from error
    except IsADirectoryError as error:
        raise InputError(f"cannot {verb} {path}: it is a folder; name a file") from error
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "check the disk and the path")
        raise ResourceError(f"cannot {verb} {path}: {error.strerror or error}; {remedy}") from error

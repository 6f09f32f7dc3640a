"""Zip archives whose members are stored as they are, as PyTorch writes them: every claim checked, nothing unpacked.

The layout is that of PKWARE's APPNOTE.TXT, 4.3 and 4.5.3, with or without its 64-bit records, of one disk and without
a comment. Anything that two readers could understand differently is refused.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Any

from ..errors import FormatError, IntegrityError, LimitError, TruncatedError

_MEMBERS = 1 << 14  # published codecs have fewer than 500

_LOCAL = struct.Struct("<4s5H3L2H")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_SATURATED = 0xFFFFFFFF  # "see the 64-bit record"


@dataclass(frozen=True)
class _Entry:
    name: bytes
    offset: int
    size: int
    crc: int


def stored_members(data: memoryview) -> dict[str, memoryview]:
    """Content of every member of the archive `data`, by its name; the CRC-32 of each has been compared.

    Raises:
        FormatError: It is no such archive, is damaged, or members are compressed, encrypted, named alike or overlap.
        LimitError: It has more than 16,384 members.
    """
    entries, limit = _directory(data)
    members = {}
    for entry in sorted(entries, key=lambda entry: entry.offset, reverse=True):
        begin = _content(data, entry)
        if begin + entry.size > limit:
            raise FormatError(f"expected members side by side, got {_shown(entry.name)}, which runs into what follows")
        content = data[begin : begin + entry.size]
        if zlib.crc32(content) != entry.crc:
            raise IntegrityError(
                f"expected {_shown(entry.name)} with CRC-32 {entry.crc:08x}, got {zlib.crc32(content):08x}"
            )
        name = _text(entry.name)
        if name in members:
            raise FormatError(f"expected members of different names, got {_shown(entry.name)} twice")
        members[name], limit = content, entry.offset
    return members


def _directory(data: memoryview) -> tuple[list[_Entry], int]:
    """All entries of the central directory, and where it begins."""
    count, begin, end = _extent(data)
    if count > _MEMBERS:
        raise LimitError(f"expected an archive of at most {_MEMBERS:,} members, got {count:,}")
    entries, position = [], begin
    for _ in range(count):
        entry, position = _entry(data[:end], position)
        entries.append(entry)
    if position != end:
        raise FormatError(f"expected {count} members in the directory of the archive, got another number")
    return entries, begin


def _extent(data: memoryview) -> tuple[int, int, int]:
    """Number of members; where the directory begins and ends."""
    end = len(data) - _END.size
    signature, *disks, here, count, size, begin, comment = _unpack(_END, data, end, "the end of the archive")
    if signature != b"PK\x05\x06" or comment:
        raise TruncatedError("expected the directory of an archive at the end of the file, got none")
    locator = end - _LOCATOR_64.size
    if locator >= 0 and bytes(data[locator : locator + 4]) == b"PK\x06\x07":
        end = locator - _END_64.size
        wide = _unpack(_END_64, data, end, "the end of the archive")
        _, disk, place, total = _LOCATOR_64.unpack_from(data, locator)
        if wide[:2] != (b"PK\x06\x06", _END_64.size - 12) or (disk, place, total) != (0, end, 1):
            raise FormatError("expected a 64-bit directory of one disk, got another")
        narrow, (*disks, here, count, size, begin) = (here, count, size, begin), wide[4:]
        limits = (0xFFFF, 0xFFFF, _SATURATED, _SATURATED)
        if any(old not in (new, most) for old, new, most in zip(narrow, wide[6:], limits, strict=True)):
            raise FormatError("expected one directory of the archive, got two that differ")
    if any(disks) or here != count or begin + size != end:
        raise FormatError("expected a directory that fills the end of the archive, got another")
    return count, begin, end


def _entry(data: memoryview, position: int) -> tuple[_Entry, int]:
    """The entry of the directory at `position`, and where the next one begins."""
    fields = _unpack(_ENTRY, data, position, "its directory")
    signature, _, _, flags, method, _, _, crc, packed, size, name_size, extra_size, comment_size, disk, _, _, at = (
        fields
    )
    position += _ENTRY.size
    name = bytes(data[position : position + name_size])
    extra = data[position + name_size : position + name_size + extra_size]
    position += name_size + extra_size + comment_size
    if signature != b"PK\x01\x02" or disk or position > len(data):
        raise FormatError("expected entries in the directory of the archive, got other bytes")
    size, packed, at = _wide(extra, [size, packed, at])
    if flags & 1:
        raise FormatError(f"expected members as torch.save writes them, got {_shown(name)}, which is encrypted")
    if method or packed != size:
        raise FormatError(f"expected members as torch.save writes them, got {_shown(name)}, which is compressed")
    return _Entry(name, at, size, crc), position


def _wide(extra: memoryview, numbers: list[int]) -> list[int]:
    """`numbers`, with those that do not fit 32 bits from the 64-bit record among the extra fields."""
    wanted = [i for i, number in enumerate(numbers) if number == _SATURATED]
    while wanted and len(extra) >= 4:
        kind, size = struct.unpack_from("<2H", extra)
        if kind == 1 and 8 * len(wanted) <= size <= len(extra) - 4:
            for i, number in zip(wanted, struct.unpack_from(f"<{len(wanted)}Q", extra, 4), strict=True):
                numbers[i] = number
            return numbers
        extra = extra[4 + size :]
    return numbers


def _content(data: memoryview, entry: _Entry) -> int:
    """Where the content of `entry` begins, behind a header of its own that agrees with the directory."""
    fields = _unpack(_LOCAL, data, entry.offset, "a member")
    begin = entry.offset + _LOCAL.size
    name_size, extra_size = int(fields[-2]), int(fields[-1])
    if fields[0] != b"PK\x03\x04" or fields[3] or bytes(data[begin : begin + name_size]) != entry.name:
        raise FormatError(f"expected {_shown(entry.name)} where the directory says, got something else")
    return begin + name_size + extra_size


def _unpack(layout: struct.Struct, data: memoryview, position: int, what: str) -> tuple[Any, ...]:
    if not 0 <= position <= len(data) - layout.size:
        raise TruncatedError(f"expected a whole archive, got one that is cut off in {what}")
    return layout.unpack_from(data, position)


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"expected names of members in UTF-8, got {name[:100]!r}") from error


def _shown(name: bytes) -> str:
    return repr(name[:100].decode("utf-8", "replace"))

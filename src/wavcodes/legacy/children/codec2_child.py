"""A process of its own around the LPCNet of libcodec2: `codec2_child.py probe|encode|decode`, standard input to output.

The library asserts, and draws from random numbers that it shares among all of its users; so it lives for one file.
Runs without the package around it. Frames go in and out as the library has them: 480 samples of 16 bits in the order
of bytes of the machine, and 52 bytes that are 0 or 1.
"""

import ctypes
import ctypes.util
import os
import sys

FRAME = 480
BITS = 52
NOT_THERE = 69
OTHER = 65

_DIRECT_SPLIT = 1
_USUAL = ("libcodec2.so.1.2", "libcodec2.so.1.0", "libcodec2.so", "libcodec2.dylib", "libcodec2.dll")


def library() -> "ctypes.CDLL | None":
    """The library that WAVCODES_CODEC2 names, or the one that is installed; None where there is none with LPCNet."""
    named = os.environ.get("WAVCODES_CODEC2")
    for name in (named,) if named else (*_USUAL, ctypes.util.find_library("codec2")):
        if name is not None:
            try:
                found = ctypes.CDLL(name)
            except OSError:
                continue
            if hasattr(found, "lpcnet_freedv_create"):
                return found
    return None


def main(action: str) -> int:
    """Does `action` and gives the exit code."""
    lpcnet = library()
    if lpcnet is None:
        sys.stderr.write("no libcodec2 with LPCNet")
        return NOT_THERE
    lpcnet.lpcnet_freedv_create.restype = ctypes.c_void_p
    for name in ("enc", "dec"):
        getattr(lpcnet, f"lpcnet_{name}").argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    for name in ("bits_per_frame", "samples_per_frame"):
        getattr(lpcnet, f"lpcnet_{name}").argtypes = (ctypes.c_void_p,)
    state = lpcnet.lpcnet_freedv_create(_DIRECT_SPLIT)
    layout = (lpcnet.lpcnet_bits_per_frame(state), lpcnet.lpcnet_samples_per_frame(state))
    if layout != (BITS, FRAME):
        sys.stderr.write(f"expected frames of {BITS} bits and {FRAME} samples, got {layout[0]} and {layout[1]}")
        return OTHER
    if action == "probe":
        return 0
    if hasattr(lpcnet, "srand"):
        lpcnet.srand(1)  # the encoder adds dither from it; so that it makes the same bits every time
    pcm, bits = ctypes.create_string_buffer(2 * FRAME), ctypes.create_string_buffer(BITS)
    taken, given = (pcm, bits) if action == "encode" else (bits, pcm)
    step = lpcnet.lpcnet_enc if action == "encode" else lpcnet.lpcnet_dec
    while frame := sys.stdin.buffer.read(len(taken)):
        if len(frame) != len(taken):
            sys.stderr.write(f"expected frames of {len(taken)} bytes, got one of {len(frame)}")
            return OTHER
        taken.raw = frame
        step(state, *((pcm, bits) if action == "encode" else (bits, pcm)))
        sys.stdout.buffer.write(given.raw)
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

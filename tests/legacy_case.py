"""Programs that stand in for those of the legacy codecs: they follow the same rules of arguments and sizes."""

import os
import sys
from pathlib import Path


def stand_in(path: Path, body: str) -> Path:
    """An executable that runs `body`, Python with `argv` (its arguments)."""
    path.write_text(f"#!{sys.executable} -SE\nimport os, sys, time\nargv = sys.argv[1:]\n{body}\n")
    os.chmod(path, 0o755)
    return path


# A packet of 8 bytes is the number of a file's packet and the loudest of its 640 samples; a last packet that is not
# full is dropped, and what cannot be done is no error, as in the real one.
LPCNET = """
import array
action, source, target = argv
if action == "-encode":
    pcm = array.array("h", open(source, "rb").read())
    with open(target, "wb") as out:
        for k in range(len(pcm) // 640):
            loudest = max(map(abs, pcm[640 * k : 640 * k + 640]))
            out.write(k.to_bytes(4, "big") + loudest.to_bytes(4, "big"))
elif action == "-decode":
    data = open(source, "rb").read()
    with open(target, "wb") as out:
        for k in range(len(data) // 8):
            assert int.from_bytes(data[8 * k : 8 * k + 4], "big") == k
            out.write(int.from_bytes(data[8 * k + 4 : 8 * k + 8], "big").to_bytes(2, "little") * 640)
else:
    sys.exit("usage")
"""

# 200 bytes a second.
NESC_ENC = """
assert argv[:4] == ["-q", "-b", "1600", "-if"] and argv[5] == "-of", argv
pcm = open(argv[4], "rb").read()
open(argv[6], "wb").write(pcm[1::160])
"""

NESC_DEC = """
assert argv[:2] == ["-q", "-if"] and argv[3] == "-of", argv
data = open(argv[2], "rb").read()
open(argv[4], "wb").write(b"".join(bytes([0, byte]) * 80 for byte in data))
"""

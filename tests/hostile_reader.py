"""Reads every file of a folder under watch and prints what came of it, as JSON; run as a program of its own, with the
folder and the module whose `read` is to be tried.

An audit hook cannot be taken away again, hence the process. The hook notes every event that the interpreter tells of
(imports, files, processes, compiled code) while a file is read, except the reading of that file.
"""

import importlib
import json
import resource
import sys
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

from wavcodes.errors import CodecError

ROOM = 256 << 20  # bytes of address space beyond what the interpreter and its libraries have


def main(folder: Path, module: str) -> None:
    read = importlib.import_module(module).read
    for name in ("good", "text"):  # imports what is imported on first use
        with suppress(CodecError):
            read(folder / name)
    current: Path | None = None
    events: list[str] = []

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if current is not None and not (event == "open" and arguments[0] in (current, str(current))):
            events.append(event)

    sys.addaudithook(note)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    room = pages * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    found: dict[str, dict[str, Any]] = {}
    tracemalloc.start()
    for path in sorted(folder.glob("case*")):
        events.clear()
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        family, message = [], ""
        current = path
        try:
            read(path)
        except BaseException as error:
            family, message = [kind.__name__ for kind in type(error).__mro__], str(error)
        current = None
        _, peak = tracemalloc.get_traced_memory()
        found[path.name] = {"family": family, "message": message, "memory": peak - before, "events": events[:]}
    print(json.dumps(found))


main(Path(sys.argv[1]), sys.argv[2])

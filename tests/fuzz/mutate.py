"""Reads millions of changed files of every format and looks for anything but errors of the package.

    python tests/fuzz/mutate.py                             # 100,000 files of each format
    python tests/fuzz/mutate.py --count 5000000 --jobs 2    # as many as a release has to pass
    python tests/fuzz/mutate.py --replay tests/fuzz/corpus  # the files of one folder for each format

Each file is read to its end within 50 ms and 16 MiB, without a file opened, a module imported or a process started;
some are also read from a pipe, which must give the same. What breaks this is kept in a folder (`--faults`), one file
and one text for each, and the exit status is 1. Linux only: its kernel enforces the limit of memory.
"""

import argparse
import faulthandler
import gc
import hashlib
import json
import os
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from changes import changed  # noqa: E402 (needs the path)
from seeds import MAKERS  # noqa: E402
from watch import Fault, Room, Watch, most_memory, strict  # noqa: E402

SHARD = 100_000  # files that one process reads
_BATCH = 64  # files between two looks at how much address space there is: what is kept for good is not theirs
_COMPARED = 32  # one in so many is also read from a pipe, and from the middle


def run(name: str, seed: int, shard: int, count: int, faults: Path) -> dict[str, Any]:
    """Reads `count` files in this process.

    Returns:
        `files`, `accepted`, `faults` (number), `slowest` (s), `memory` (bytes beyond what it began with) and `seconds`.
    """
    case, random, watch, room = MAKERS[name](), Random(f"{name} {seed} {shard}"), Watch(), Room()
    strict()
    watch.warm_up(case)
    gc.collect()
    gc.freeze()
    before, began, accepted, found = most_memory(), time.process_time(), 0, 0
    for number in range(count):
        if number % _BATCH == 0:
            room.limit()
        data = changed(case, random)
        hints = case.hints[int(random.random() * len(case.hints))]
        try:
            accepted += watch.read(data, case.name, hints)
            if number % _COMPARED == 0:
                watch.compare(data, case.name, hints)
        except Fault as fault:
            room.lift()
            found += 1
            keep(faults, name, data, f"file {number} of shard {shard}, seed {seed}, hints {hints}\n{fault}", fault)
            room.limit()
    room.lift()
    return {
        "files": count,
        "accepted": accepted,
        "faults": found,
        "slowest": watch.slowest,
        "memory": most_memory() - before,
        "seconds": time.process_time() - began,
    }


def replay(folder: Path) -> int:
    """Reads the files in the folders of `folder`, which are named as formats, and prints what breaks a rule.

    Returns:
        How many broke one.
    """
    watch, room, found = Watch(), Room(), 0
    strict()
    for name, make in MAKERS.items():
        case = make()
        watch.warm_up(case)
        for path in sorted((folder / name).glob("*")):
            data = path.read_bytes()
            for hints in case.hints:
                room.limit()
                try:
                    accepted = watch.read(data, case.name, hints)
                    watch.compare(data, case.name, hints)
                    said = "accepted" if accepted else "refused"
                except Fault as fault:
                    found, said = found + 1, str(fault)
                room.lift()
                print(f"{name}/{path.name}: {said}", flush=True)
    return found


def keep(folder: Path, name: str, data: bytes, text: str, fault: Fault) -> None:
    """Puts a file that broke a rule into the folder, with the place where it did."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    path.with_suffix(".txt").write_text(text + "\n\n" + "".join(traceback.format_exception(fault)))


def in_process(name: str, seed: int, shard: int, count: int, faults: Path) -> dict[str, Any]:
    """`run` in a process of its own, whose memory nobody else has used and whose end can be seen."""
    command = [sys.executable, __file__, "--formats", name, "--seed", str(seed), "--shard", str(shard)]
    done = subprocess.run(
        [*command, "--count", str(count), "--faults", str(faults)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def line(name: str, results: list[dict[str, Any]]) -> str:
    """The row of a table."""
    files, accepted, seconds = (sum(each[key] for each in results) for key in ("files", "accepted", "seconds"))
    slowest, memory = (max(each[key] for each in results) for key in ("slowest", "memory"))
    return (
        f"| {name} | {files:,} | {accepted:,} | {files - accepted:,} | {1000 * slowest:.1f} ms "
        f"| {memory / 2**20:.1f} MiB | {files / seconds:,.0f} | {sum(each['faults'] for each in results)} |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Reads changed files of every format.")
    parser.add_argument("--formats", nargs="*", choices=MAKERS, default=list(MAKERS), metavar="FORMAT")
    parser.add_argument("--count", type=int, default=SHARD, help="files of each format")
    parser.add_argument("--seed", type=int, default=0, help="of the changes")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time")
    parser.add_argument("--faults", type=Path, default=Path("build/fuzz"), help="folder for what breaks the rules")
    parser.add_argument("--replay", type=Path, help="read the files of this folder instead")
    parser.add_argument("--shard", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.replay is not None:
        return 1 if replay(options.replay) else 0
    if options.shard is not None:
        faulthandler.enable()
        print(json.dumps(run(options.formats[0], options.seed, options.shard, options.count, options.faults)))
        return 0
    print("| format | files | accepted | refused | slowest | memory | files/s and core | faults |", flush=True)
    print("|---|---|---|---|---|---|---|---|", flush=True)
    found = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        for name in options.formats:
            sizes = [min(SHARD, options.count - first) for first in range(0, options.count, SHARD)]
            shards = [
                pool.submit(in_process, name, options.seed, number, size, options.faults)
                for number, size in enumerate(sizes)
            ]
            results = [shard.result() for shard in shards]
            found += sum(each["faults"] for each in results)
            print(line(name, results), flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

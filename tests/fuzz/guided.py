"""Coverage-guided search for files of one format that break the rules of `watch`; needs `pip install atheris`.

    python tests/fuzz/guided.py snac-zlib -max_total_time=600

What follows the name of the format goes to libFuzzer. It changes the pieces of the seeds (see `seeds`), from which the
file is made with the right checksums; so it is guided to what is behind them. A finding ends the run, and its file is
in the working folder.
"""

import sys
import tempfile
from pathlib import Path

import atheris

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

with atheris.instrument_imports(include=["wavcodes"]):
    from seeds import MAKERS
    from watch import Fault, Watch, strict

_BETWEEN = b"\xfe\x01piece\x01\xfe"
_MOST = 8192  # bytes


def main() -> None:
    case = MAKERS[sys.argv[1]]()
    joins = list(dict.fromkeys(seed.join for seed in case.seeds))
    watch = Watch()
    strict()
    watch.warm_up(case)

    def one(data: bytes) -> None:
        # The first byte says how the pieces make a file and what the caller says, the others are the pieces.
        choice, pieces = (data or b"\0")[0], data[1:].split(_BETWEEN)
        hints = case.hints[choice // 16 % len(case.hints)]
        file = b"".join(pieces) if choice % 4 == 3 else joins[choice % 4 % len(joins)](pieces)
        try:
            watch.read(file, case.name, hints)
        except Fault:
            Path(f"fault-{sys.argv[1]}").write_bytes(file)
            raise

    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(case.seeds):
            choice = bytes([joins.index(seed.join)])
            (Path(folder) / str(number)).write_bytes(choice + _BETWEEN.join(seed.pieces))
        options = [f"-max_len={_MOST}", "-timeout=60", *sys.argv[2:], folder]
        atheris.Setup([sys.argv[0], *options], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()

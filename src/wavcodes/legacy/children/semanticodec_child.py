"""A process of its own around SemantiCodec, which prints to standard output and brings PyTorch with it:
`semanticodec_child.py encode|decode RATE VOCABULARY IN OUT`. Runs without the package around it.

Sound is WAV on its way in and 16-bit integers on its way out; tokens are 16-bit integers, semantic and acoustic by
turns.
"""

import sys

NOT_THERE = 69


def main(action: str, rate: int, vocabulary: int, source: str, target: str) -> int:
    """Does `action` and gives the exit code."""
    try:
        from semanticodec import SemantiCodec  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        sys.stderr.write(f"{error}")
        return NOT_THERE
    import numpy as np
    import torch

    codec = SemantiCodec(token_rate=rate, semantic_vocab_size=vocabulary)
    with torch.no_grad():
        if action == "encode":
            result = codec.encode(source).cpu().numpy().reshape(-1).astype("<u2")
        else:
            tokens = torch.from_numpy(np.fromfile(source, "<u2").astype(np.int64).reshape(1, -1, 2))
            sound = np.asarray(codec.decode(tokens), np.float64).reshape(-1)
            result = np.clip(np.rint(sound * 32768), -32768, 32767).astype("<i2")
    result.tofile(target)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]))

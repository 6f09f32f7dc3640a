"""Between SAC's files of tokens, which PyTorch writes and reads, and 16-bit integers: `sac_child.py load|save IN OUT`.

Runs in the Python of SAC, without the package around it, and loads only what SAC has just written.
"""

import sys


def main(action: str, source: str, target: str) -> int:
    """Does `action` and gives the exit code."""
    import numpy as np
    import torch

    if action == "load":
        torch.load(source, weights_only=True).numpy().reshape(-1).astype("<u2").tofile(target)
    else:
        torch.save(torch.from_numpy(np.fromfile(source, "<u2").astype(np.int64)), target)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

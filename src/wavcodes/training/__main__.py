"""`python -m wavcodes.training` is `wavcodes-train`, for programs that start modules, as `torchrun` does."""

import sys

from .command import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m wavcodes` is the command `wavcodes`."""

import sys

from .cli import main

sys.exit(main())

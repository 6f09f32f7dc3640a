"""The command `wavcodes`. Parsing and `info` load neither the engine nor a library for audio."""

from .main import main

__all__ = ["main"]

"""Audio on its way in and out: checks, channels, sample rates, files.

Audio is float32 in [-1, 1], `(samples,)` or `(channels, samples)`. Nothing is repaired in silence: what a codec cannot
take is an error that names the function to call. Only this package knows soundfile and soxr.
"""

from .loudness import LoudnessMeter, loudness
from .mel import mel, mel_filters
from .reader import BLOCK_SAMPLES, SOUND_SUFFIXES, AudioReader
from .signals import (
    BLOCK_SECONDS,
    StreamResampler,
    check_audio,
    check_chunk,
    resample,
    resampled_length,
    to_channels,
    to_int16,
    to_mono,
)
from .writer import SUFFIXES, AudioWriter, written_rate

__all__ = [
    "BLOCK_SAMPLES",
    "BLOCK_SECONDS",
    "SOUND_SUFFIXES",
    "SUFFIXES",
    "AudioReader",
    "AudioWriter",
    "LoudnessMeter",
    "StreamResampler",
    "check_audio",
    "check_chunk",
    "loudness",
    "mel",
    "mel_filters",
    "resample",
    "resampled_length",
    "to_channels",
    "to_int16",
    "to_mono",
    "written_rate",
]

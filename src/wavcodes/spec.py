"""Facts of one published checkpoint: they need no download, no weights and no engine."""

from dataclasses import dataclass
from functools import cache

from .errors import InputError, IntegrityError
from .framing import Framing, Segment
from .values import whole_number


@dataclass(frozen=True)
class WeightFile:
    """One published file of weights.

    Attributes:
        name: File name inside its repository.
        sha256: Hex digest, or its first digits where nobody states all of it, or None where no trustworthy source
            states any (in both cases the file is reported as unverified).
        size: Length in bytes, or None where unknown.
        url: Address, for files that no model hub serves.
    """

    name: str
    sha256: str | None = None
    size: int | None = None
    url: str | None = None

    @property
    def pinned(self) -> bool:
        """True if the whole SHA-256 is known."""
        return self.sha256 is not None and len(self.sha256) == 64

    def check(self, digest: str, origin: object) -> None:
        """Raises IntegrityError unless `digest`, the SHA-256 of what came from `origin`, is what is stated of it."""
        stated = self.sha256 or ""
        if not digest.startswith(stated):
            raise IntegrityError(f"expected {origin} with SHA-256 {stated}{'' if self.pinned else '...'}, got {digest}")


@dataclass(frozen=True)
class WeightSource:
    """Where the weights of a checkpoint come from.

    Attributes:
        files: The files, in the order in which the model reads them.
        licence: As the publisher states it.
        repo: Hub repository, or None.
        revision: Full commit hash that the repository is pinned to.
        packaged: True if the files lie inside the package.
    """

    files: tuple[WeightFile, ...]
    licence: str
    repo: str | None = None
    revision: str | None = None
    packaged: bool = False


@dataclass(frozen=True)
class CodecSpec:
    """Facts of one checkpoint.

    Attributes:
        name: Upstream's own name, such as `encodec_24khz`.
        sample_rate: Hz.
        channels: Audio channels that are coded together.
        hop_length: Samples per frame.
        num_codebooks: How many codebooks exist (K at most).
        codebook_size: Entries per codebook; a code is in `0 ..< codebook_size`.
        bandwidths: Nominal payloads in kbps that the checkpoint was trained for, ascending.
        default_bandwidth: The one used when the caller names none.
        weights: Source and licence of the weights.
        strides: Frames per code for each codebook.
        causal: True if no output depends on input later than its own frame.
        tail_frames: Frames after those that hold samples; they flush a codec's own delay.
        frame_multiple: An encoder fills up the frames that hold samples to a multiple of this.
        segment: Windows that are coded independently, if the codec has such.
        description: One line for a table.
    """

    name: str
    sample_rate: int
    channels: int
    hop_length: int
    num_codebooks: int
    codebook_size: int
    bandwidths: tuple[float, ...]
    default_bandwidth: float
    weights: WeightSource
    strides: tuple[int, ...]
    causal: bool = True
    tail_frames: int = 0
    frame_multiple: int = 1
    segment: Segment | None = None
    description: str = ""

    def framing(self, num_codebooks: int | None = None) -> Framing:
        """How codes of the first `num_codebooks` books (all, if left out) stand for sound.

        Raises:
            InputError: There are not so many codebooks.
        """
        count = self.num_codebooks if num_codebooks is None else self.resolve_codebooks(num_codebooks=num_codebooks)
        return _framing(self, count)

    @property
    def frame_rate(self) -> float:
        """Frames per second, exact: `sample_rate / hop_length`."""
        return self.framing().frame_rate

    @property
    def bits(self) -> int:
        """Bits that one code needs."""
        return self.framing().bits

    def bandwidth(self, num_codebooks: int) -> float:
        """Nominal payload in kbps of the first `num_codebooks` codebooks."""
        return self.framing(num_codebooks).bandwidth

    def num_frames(self, num_samples: int) -> int:
        """Frames that `num_samples` samples (per channel) are coded into; 0 for no samples."""
        return self.framing().num_frames(num_samples)

    def resolve_codebooks(self, bandwidth: float | None = None, num_codebooks: int | None = None) -> int:
        """The number of codebooks that a caller's choice means.

        Args:
            bandwidth: One of `bandwidths`, in kbps.
            num_codebooks: 1 to `self.num_codebooks`. Give one of the two or neither.

        Raises:
            InputError: Both are given, or the value is not one that the codec has.
        """
        if bandwidth is not None and num_codebooks is not None:
            raise InputError(
                f"expected bandwidth or num_codebooks, got both ({bandwidth = }, {num_codebooks = }); leave one out"
            )
        if num_codebooks is not None:
            count = whole_number("num_codebooks", num_codebooks)
            if not 1 <= count <= self.num_codebooks:
                raise InputError(f"{self.name} has 1 to {self.num_codebooks} codebooks, got {num_codebooks = }")
            return count
        chosen = self.default_bandwidth if bandwidth is None else bandwidth
        if chosen not in self.bandwidths:
            choices = ", ".join(f"{b:g}" for b in self.bandwidths)
            raise InputError(f"{self.name} has bandwidths of {choices} kbps, got {bandwidth = }; choose one of these")
        counts = range(1, self.num_codebooks + 1)
        return min(counts, key=lambda count: (abs(self.bandwidth(count) - chosen), count))


@cache
def _framing(spec: CodecSpec, num_codebooks: int) -> Framing:
    return Framing(
        codec=spec.name,
        sample_rate=spec.sample_rate,
        channels=spec.channels,
        hop_length=spec.hop_length,
        codebook_size=spec.codebook_size,
        strides=spec.strides[:num_codebooks],
        tail_frames=spec.tail_frames,
        frame_multiple=spec.frame_multiple,
        segment=spec.segment,
    )

"""The checkpoints that this package knows: one literal entry each, and what reads its files into a graph's tensors."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from . import graph
from .errors import InputError
from .models import encodec, lyra, wavcodes
from .spec import CodecSpec, WeightFile, WeightSource
from .weights import Tensors

DEFAULT_CODEC = "wavcodes_16khz"


@dataclass(frozen=True)
class Checkpoint:
    """One published set of weights and the network that they belong to.

    Attributes:
        spec: Its facts.
        network: Builds its graph.
        tensors: Reads its files, in the order of `spec.weights.files`, into tensors under the names of the graph; what
            is missing or misshapen is for `weights.check` to find.
    """

    spec: CodecSpec
    network: Callable[[], graph.Network]
    tensors: Callable[[tuple[Path, ...]], Tensors]


_LYRA = "https://raw.githubusercontent.com/google/lyra/c2395ffa8d32e0a0447c4ba534292015b282850a/model_coeffs"

_CHECKPOINTS = (
    Checkpoint(
        CodecSpec(
            name="encodec_24khz",
            description="Meta EnCodec, general audio, causal",
            sample_rate=24_000,
            channels=1,
            hop_length=320,
            num_codebooks=32,
            codebook_size=1024,
            bandwidths=(1.5, 3.0, 6.0, 12.0, 24.0),
            default_bandwidth=6.0,
            strides=(1,) * 32,
            weights=WeightSource(
                repo="facebook/encodec_24khz",
                revision="c1dbe2ae3f1de713481a3b3e7c47f357092ee040",
                files=(
                    WeightFile(
                        "model.safetensors",
                        sha256="37a7cb100f71a29e6c1d815aca8666a1d7ea8885ebe44c306c751a5103559d57",
                        size=93_119_608,
                    ),
                ),
                licence="not stated by the publisher; treat as CC-BY-NC-4.0",
            ),
        ),
        partial(encodec.network, encodec.ENCODEC_24KHZ),
        encodec.tensors,
    ),
    Checkpoint(
        CodecSpec(
            name="lyra_v2",
            description="Google Lyra v2 (SoundStream), speech",
            sample_rate=16_000,
            channels=1,
            hop_length=320,
            num_codebooks=46,
            codebook_size=16,
            bandwidths=(3.2, 6.0, 9.2),
            default_bandwidth=6.0,
            strides=(1,) * 46,
            weights=WeightSource(
                files=(
                    WeightFile(
                        "soundstream_encoder.tflite",
                        sha256="6110a3f31ea11a46af8686042bce725b2f0da91b5e88e3cbbed004288698ee53",
                        size=2_748_716,
                        url=f"{_LYRA}/soundstream_encoder.tflite",
                    ),
                    WeightFile(
                        "quantizer.tflite",
                        sha256="38c19c60376e6bcae416c41d486244227afb77542771c207dbee8d8e6d7f59bc",
                        size=518_396,
                        url=f"{_LYRA}/quantizer.tflite",
                    ),
                    WeightFile(
                        "lyragan.tflite",
                        sha256="4f2a308913e16c490e8736029ad024fb4badb0adc2c5e2f398a1532418590ec1",
                        size=2_759_268,
                        url=f"{_LYRA}/lyragan.tflite",
                    ),
                ),
                licence="Apache-2.0",
            ),
        ),
        lyra.network,
        lyra.tensors,
    ),
    Checkpoint(
        CodecSpec(
            name="wavcodes_16khz",
            description="this package's own, speech, needs no download",
            sample_rate=16_000,
            channels=1,
            hop_length=320,
            num_codebooks=12,
            codebook_size=1024,
            bandwidths=(0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0),
            default_bandwidth=6.0,
            strides=(1,) * 12,
            tail_frames=1,
            weights=WeightSource(
                packaged=True,
                files=(
                    WeightFile(
                        "wavcodes_16khz.safetensors",
                        sha256="15cf4a30c97143fb4b018e980c1cfb61b699223c7bb69c1dc01b630f13d9849b",
                        size=3_948_106,
                    ),
                ),
                licence="Apache-2.0",
            ),
        ),
        partial(wavcodes.network, wavcodes.WAVCODES_16KHZ),
        wavcodes.tensors,
    ),
)

_BY_NAME = {entry.spec.name: entry for entry in _CHECKPOINTS}


def list_codecs() -> list[str]:
    """Names of all codecs."""
    return list(_BY_NAME)


def checkpoint(name: str) -> Checkpoint:
    """The entry of a codec; case does not matter, and `-` may stand for `_`.

    Raises:
        InputError: There is no such codec; the message names the nearest one and all there are.
    """
    key = name.lower().replace("-", "_") if isinstance(name, str) else ""
    if key in _BY_NAME:
        return _BY_NAME[key]
    import difflib

    near = difflib.get_close_matches(key, _BY_NAME, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}? " if near else ""
    raise InputError(f"expected the name of a codec, got {name!r}; {hint}There are: {', '.join(_BY_NAME)}")


def spec(name: str) -> CodecSpec:
    """Facts of a codec; they need no weights and no engine. Names are read as by `checkpoint`."""
    return checkpoint(name).spec

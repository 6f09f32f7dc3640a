"""The checkpoints that this package knows: one literal entry each, and what reads its files into a graph's tensors."""

from functools import partial

from .checkpoint import Checkpoint
from .errors import InputError
from .framing import Segment
from .models import dac, encodec, lyra, mimi, snac, wavcodes
from .spec import CodecSpec, WeightFile, WeightSource

DEFAULT_CODEC = "wavcodes_16khz"

FOR_SUFFIX = {
    ".ecdc": "encodec_24khz",
    ".snac": "snac_24khz",
    ".dac": "dac_44khz",
    ".nac": DEFAULT_CODEC,
    ".lyra": "lyra_v2",
}
"""The codec that a file name's suffix stands for where nothing else says which."""


_LYRA = "https://raw.githubusercontent.com/google/lyra/c2395ffa8d32e0a0447c4ba534292015b282850a/model_coeffs"
_META = "https://dl.fbaipublicfiles.com/encodec/v0"
_DAC = "https://github.com/descriptinc/descript-audio-codec/releases/download"

_CHECKPOINTS = (
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
                        sha256="cb0d83772cfb38f02e6a2cde648e195f67fcd8cc58075a237fc174c5561b19a6",
                        size=3_938_218,
                    ),
                ),
                licence="Apache-2.0",
            ),
        ),
        partial(wavcodes.network, wavcodes.WAVCODES_16KHZ),
        wavcodes.tensors,
    ),
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
        language_model=WeightSource(
            files=(
                WeightFile(
                    "encodec_lm_24khz-1608e3c0.th",
                    sha256="1608e3c0",
                    url=f"{_META}/encodec_lm_24khz-1608e3c0.th",
                ),
            ),
            licence="not stated by the publisher; treat as CC-BY-NC-4.0",
        ),
    ),
    Checkpoint(
        CodecSpec(
            name="encodec_32khz",
            description="Meta EnCodec as MusicGen uses it, music",
            sample_rate=32_000,
            channels=1,
            hop_length=640,
            num_codebooks=4,
            codebook_size=2048,
            bandwidths=(2.2,),
            default_bandwidth=2.2,
            strides=(1,) * 4,
            causal=False,
            weights=WeightSource(
                repo="facebook/encodec_32khz",
                revision="d0c45384f6c44db055f78200cfdcb9c1c8706727",
                files=(
                    WeightFile("model.safetensors", size=235_972_432),  # computed from the layout
                ),
                licence="not stated by the publisher; treat as CC-BY-NC-4.0",
            ),
        ),
        partial(encodec.network, encodec.ENCODEC_32KHZ),
        encodec.tensors,
    ),
    Checkpoint(
        CodecSpec(
            name="encodec_48khz",
            description="Meta EnCodec, stereo music",
            sample_rate=48_000,
            channels=2,
            hop_length=320,
            num_codebooks=16,
            codebook_size=1024,
            bandwidths=(3.0, 6.0, 12.0, 24.0),
            default_bandwidth=6.0,
            strides=(1,) * 16,
            causal=False,
            segment=Segment(length=48_000, stride=47_520),
            weights=WeightSource(
                repo="facebook/encodec_48khz",
                revision="c3def8e7185ac8c8efdce6eb8c4a651e487a503e",
                files=(
                    WeightFile(
                        "model.safetensors",
                        sha256="47a15ffbaf7bb76176d0833e10590de0a8988a7848748608cefc36a1c88adfdc",
                        size=76_291_152,
                    ),
                ),
                licence="stated as MIT by third parties only; treat as CC-BY-NC-4.0",
            ),
        ),
        partial(encodec.network, encodec.ENCODEC_48KHZ),
        encodec.tensors,
        language_model=WeightSource(
            files=(
                WeightFile(
                    "encodec_lm_48khz-7add9fc3.th",
                    sha256="7add9fc3",
                    url=f"{_META}/encodec_lm_48khz-7add9fc3.th",
                ),
            ),
            licence="not stated by the publisher; treat as CC-BY-NC-4.0",
        ),
    ),
    # Bandwidths of DAC are those of 1, 2, 4 ... and all books, in true kbps with two decimals; trained to do without
    # later books, it works with any number. Upstream's "8kbps" stands for 9 books as well as for 12 and for 32.
    Checkpoint(
        CodecSpec(
            name="dac_16khz",
            description="Descript DAC, any sound",
            sample_rate=16_000,
            channels=1,
            hop_length=320,
            num_codebooks=12,
            codebook_size=1024,
            bandwidths=(0.5, 1.0, 2.0, 4.0, 6.0),
            default_bandwidth=6.0,
            strides=(1,) * 12,
            causal=False,
            weights=WeightSource(
                repo="descript/dac_16khz",
                revision="7c2fc5e759f1f501aefc6e7a0265cc57f5d17ba7",
                files=(
                    WeightFile("model.safetensors", size=296_592_604),  # computed from the layout
                ),
                licence="MIT",
            ),
        ),
        partial(dac.network, dac.DAC_16KHZ),
        dac.tensors,
    ),
    Checkpoint(
        CodecSpec(
            name="dac_24khz",
            description="Descript DAC, any sound",
            sample_rate=24_000,
            channels=1,
            hop_length=320,
            num_codebooks=32,
            codebook_size=1024,
            bandwidths=(0.75, 1.5, 3.0, 6.0, 12.0, 24.0),
            default_bandwidth=24.0,
            strides=(1,) * 32,
            causal=False,
            weights=WeightSource(
                repo="descript/dac_24khz",
                revision="6ba020b5ba7d9d8076fb90db7e67f27e31980f6e",
                files=(
                    WeightFile(
                        "model.safetensors",
                        sha256="7452e3fc6972991da871ae1a1c9d3e8e219aa247cc0f757018867d6a7fe59aaf",
                        size=298_652_268,
                    ),
                ),
                licence="MIT",
            ),
        ),
        partial(dac.network, dac.DAC_24KHZ),
        dac.tensors,
    ),
    Checkpoint(
        CodecSpec(
            name="dac_44khz",
            description="Descript DAC, any sound",
            sample_rate=44_100,
            channels=1,
            hop_length=512,
            num_codebooks=9,
            codebook_size=1024,
            bandwidths=(0.86, 1.72, 3.45, 6.89, 7.75),
            default_bandwidth=7.75,
            strides=(1,) * 9,
            causal=False,
            weights=WeightSource(
                repo="descript/dac_44khz",
                revision="c1bc521685adf9cfe247bc39a5ca58917eda1ac4",
                files=(
                    WeightFile(
                        "model.safetensors",
                        sha256="6128ebff483a41422b0164d079a3773b0d8d82e64c4293d775994cbf8baf913a",
                        size=306_507_276,
                    ),
                ),
                licence="MIT",
            ),
        ),
        partial(dac.network, dac.DAC_44KHZ),
        dac.tensors,
    ),
    Checkpoint(
        CodecSpec(
            name="dac_44khz_16kbps",
            description="Descript DAC, any sound",
            sample_rate=44_100,
            channels=1,
            hop_length=512,
            num_codebooks=18,
            codebook_size=1024,
            bandwidths=(0.86, 1.72, 3.45, 6.89, 13.78, 15.5),
            default_bandwidth=15.5,
            strides=(1,) * 18,
            causal=False,
            weights=WeightSource(
                files=(
                    WeightFile(
                        "weights_44khz_16kbps.pth",
                        size=256_984_809,
                        url=f"{_DAC}/1.0.0/weights_44khz_16kbps.pth",
                    ),
                ),
                licence="MIT",
            ),
        ),
        partial(dac.network, dac.DAC_44KHZ_16KBPS),
        dac.tensors,
    ),
    Checkpoint(
        CodecSpec(
            name="snac_24khz",
            description="SNAC, speech, books at 3 rates",
            sample_rate=24_000,
            channels=1,
            hop_length=512,
            num_codebooks=3,
            codebook_size=4096,
            bandwidths=(0.14, 0.42, 0.98),
            default_bandwidth=0.98,
            strides=(4, 2, 1),
            causal=False,
            frame_multiple=4,
            weights=WeightSource(
                repo="hubertsiuzdak/snac_24khz",
                revision="d73ad176a12188fcf4f360ba3bf2c2fbbe8f58ec",
                files=(
                    WeightFile(
                        "pytorch_model.bin",
                        sha256="4b8164cc6606bfa627f1a784734c1e539891518f1191ed9194fe1e3b9b4bff40",
                        size=79_488_254,
                    ),
                ),
                licence="MIT",
            ),
        ),
        partial(snac.network, snac.SNAC_24KHZ),
        snac.tensors,
    ),
    Checkpoint(
        CodecSpec(
            name="snac_32khz",
            description="SNAC, music and effects, books at 4 rates",
            sample_rate=32_000,
            channels=1,
            hop_length=384,
            num_codebooks=4,
            codebook_size=4096,
            bandwidths=(0.125, 0.375, 0.875, 1.875),
            default_bandwidth=1.875,
            strides=(8, 4, 2, 1),
            causal=False,
            frame_multiple=32,
            weights=WeightSource(
                repo="hubertsiuzdak/snac_32khz",
                revision="c84c6ac842dc7a44a6fb0f3b576ce94b48a7780f",
                files=(
                    WeightFile(
                        "pytorch_model.bin",
                        sha256="bfee2f057c1e287443786bedab377b5176b430e911417683977b7af71ea3ba65",
                    ),
                ),
                licence="MIT",
            ),
        ),
        partial(snac.network, snac.SNAC_32KHZ),
        snac.tensors,
    ),
    Checkpoint(
        CodecSpec(
            name="snac_44khz",
            description="SNAC, music and effects, books at 4 rates",
            sample_rate=44_100,
            channels=1,
            hop_length=384,
            num_codebooks=4,
            codebook_size=4096,
            bandwidths=(0.17, 0.52, 1.21, 2.58),
            default_bandwidth=2.58,
            strides=(8, 4, 2, 1),
            causal=False,
            frame_multiple=32,
            weights=WeightSource(
                repo="hubertsiuzdak/snac_44khz",
                revision="873ebef9718b89660340c6f55a2b515e98cfa1d9",
                files=(
                    WeightFile(
                        "pytorch_model.bin",
                        sha256="b0a676cbdc8d1cc53186f6d777bc956fb7932ceacdc657a4c3741646e9e7ead0",
                    ),
                ),
                licence="MIT",
            ),
        ),
        partial(snac.network, snac.SNAC_44KHZ),
        snac.tensors,
    ),
    Checkpoint(
        CodecSpec(
            name="mimi",
            description="kyutai Mimi, speech, causal; by default the 8 books that Moshi uses",
            sample_rate=24_000,
            channels=1,
            hop_length=1920,
            num_codebooks=32,
            codebook_size=2048,
            bandwidths=(0.14, 0.55, 1.1, 2.2, 4.4),
            default_bandwidth=1.1,
            strides=(1,) * 32,
            weights=WeightSource(
                repo="kyutai/mimi",
                revision="89091b3e466eb6a9d11e537bf26b144f194978f7",
                files=(
                    WeightFile(
                        "model.safetensors",
                        sha256="bac7e85083dcded655d24eaadde7e6eea34c0da1b35fa2d284e641bd2b942a5e",
                        size=384_649_828,
                    ),
                ),
                licence="CC-BY-4.0",
            ),
        ),
        partial(mimi.network, mimi.MIMI),
        partial(mimi.tensors, mimi.MIMI),
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
)

_BY_NAME = {entry.spec.name: entry for entry in _CHECKPOINTS}
_BY_REPO = {entry.spec.weights.repo.lower(): entry for entry in _CHECKPOINTS if entry.spec.weights.repo}


def list_codecs() -> list[str]:
    """Names of all codecs."""
    return list(_BY_NAME)


def checkpoint(name: str) -> Checkpoint:
    """The entry of a codec.

    Args:
        name: Its name, where case does not matter and `-` may stand for `_`, or the hub repository that its weights are
            published in.

    Raises:
        InputError: There is no such codec; the message names the nearest one and all there are.
    """
    key = name.lower() if isinstance(name, str) else ""
    if entry := _BY_REPO.get(key) or _BY_NAME.get(key.replace("-", "_")):
        return entry
    import difflib

    key = key.replace("-", "_")
    near = [known for known in _BY_NAME if key and known.startswith(key)]
    near = near or difflib.get_close_matches(key, _BY_NAME, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}? " if near else ""
    raise InputError(f"expected the name of a codec, got {name!r}; {hint}there are: {', '.join(_BY_NAME)}")


def family(name: str) -> tuple[CodecSpec, ...]:
    """Facts of all codecs of a family, such as `EnCodec`: those whose names begin with it, in lower case."""
    return tuple(entry.spec for entry in _CHECKPOINTS if entry.spec.name.partition("_")[0] == name.lower())


def published_in(repo: str) -> CodecSpec | None:
    """Facts of the codec whose weights are published in a hub repository, or None."""
    entry = _BY_REPO.get(repo.lower())
    return entry.spec if entry else None


def spec(name: str) -> CodecSpec:
    """Facts of a codec; they need no weights and no engine. Names are read as by `checkpoint`."""
    return checkpoint(name).spec

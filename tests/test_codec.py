"""`load` and `Codec`: what they take and refuse, batches, many threads, and the identity of weights."""

import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import exact
import numpy as np
import pytest
from narrow import narrow
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

import wavcodes
from wavcodes import Codec, Codes, FormatError, InputError, ModelError

RATE = 16_000
AUDIO = exact.signal(4_001)


@pytest.fixture(scope="module")
def codec() -> Codec:
    return wavcodes.load("wavcodes_16khz")


@pytest.fixture(scope="module")
def codes(codec: Codec) -> Codes:
    return codec.encode(AUDIO, RATE)


# ---- what comes out


@pytest.mark.parametrize("num_samples", [1, 2, 5, 319, 320, 321, 640, 6720])
def test_shapes_and_lengths(num_samples: int, codec: Codec) -> None:
    audio = exact.signal(num_samples)
    codes = codec.encode(audio, RATE)
    frames = -(-num_samples // 320) + 1
    assert np.asarray(codes).shape == (12, frames)
    assert (codes.num_samples, codes.codec, codes.bandwidth) == (num_samples, "wavcodes_16khz", 6.0)
    latent = codec.encode_latent(audio, RATE)
    assert (latent.shape, latent.dtype, latent.flags.c_contiguous) == ((64, frames), np.float32, True)
    sound = codec.decode(codes)
    assert (sound.shape, sound.dtype, sound.flags.c_contiguous) == ((1, num_samples), np.float32, True)
    assert np.isfinite(sound).all()


def test_the_latent_is_what_the_codes_are_made_of(codec: Codec, codes: Codes) -> None:
    latent = np.ascontiguousarray(codec.encode_latent(AUDIO, RATE).T)
    np.testing.assert_array_equal(codec._engine.quantize(latent, 12, 1), np.asarray(codes))


@pytest.mark.parametrize(
    ("choice", "count"),
    [({}, 12), ({"bandwidth": 0.5}, 1), ({"bandwidth": 3}, 6), ({"num_codebooks": 5}, 5), ({"num_codebooks": 12}, 12)],
)
def test_fewer_codebooks_are_the_first_of_all(choice: dict[str, Any], count: int, codec: Codec, codes: Codes) -> None:
    assert codec.encode(AUDIO, RATE, **choice) == codes.codebooks(count)
    assert codec.decode(codes.codebooks(count)).shape == (1, len(AUDIO))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"bandwidth": 7.0}, "has bandwidths of 0.5, 1, .* 6 kbps, got bandwidth = 7.0"),
        ({"bandwidth": float("nan")}, "got bandwidth = nan"),
        ({"bandwidth": 0}, "got bandwidth = 0"),
        ({"num_codebooks": 0}, "1 to 12 codebooks, got num_codebooks = 0"),
        ({"num_codebooks": 13}, "1 to 12 codebooks, got num_codebooks = 13"),
        ({"bandwidth": 6.0, "num_codebooks": 12}, "bandwidth or num_codebooks, got both"),
        ({"threads": 0}, "threads of 1 to 1024, got threads = 0"),
        ({"threads": -1}, "threads of 1 to 1024"),
    ],
)
def test_choices_that_there_are_not(choice: dict[str, Any], message: str, codec: Codec) -> None:
    with pytest.raises(InputError, match=message):
        codec.encode(AUDIO, RATE, **choice)


def test_batches_keep_their_order(codec: Codec) -> None:
    clips = [exact.signal(n, seed=n) for n in (700, 1, 320, 3_000)]
    codes = codec.encode(clips, RATE, bandwidth=3.0)
    assert [each.num_samples for each in codes] == [700, 1, 320, 3_000]
    assert codes == [codec.encode(clip, RATE, bandwidth=3.0) for clip in clips]
    assert [sound.shape for sound in codec.decode(codes)] == [(1, 700), (1, 1), (1, 320), (1, 3_000)]
    assert codec.encode(tuple(clips[:1]), RATE, bandwidth=3.0) == codes[:1]
    assert codec.encode([], RATE) == []
    assert codec.decode([]) == []


def test_one_bad_clip_of_a_batch_is_an_error(codec: Codec, codes: Codes) -> None:
    with pytest.raises(InputError, match="sample 3 of channel 0 is nan"):
        codec.encode([AUDIO, np.float32([0, 0, 0, np.nan])], RATE)
    with pytest.raises(InputError, match="codes of other"):
        codec.decode([codes, replace(codes, framing=replace(codes.framing, codec="other"))])


def test_one_instance_serves_many_threads(codec: Codec) -> None:
    clips = [exact.signal(2_000 + 37 * i, seed=i) for i in range(24)]
    serial = [codec.encode(clip, RATE, threads=1) for clip in clips]
    sounds = [codec.decode(codes, threads=1).tobytes() for codes in serial]

    def both(i: int) -> tuple[Codes, bytes]:
        codes = codec.encode(clips[i], RATE, threads=1 + i % 3)
        return codes, codec.decode(codes, threads=1 + i % 2).tobytes()

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(both, range(24)))
    assert [codes for codes, _ in results] == serial
    assert [sound for _, sound in results] == sounds


def test_eight_threads_on_shared_codecs_give_what_one_gives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = ("encodec_24khz", "encodec_48khz", "dac_44khz", "snac_32khz", "mimi")
    weights = narrow(monkeypatch, tmp_path, *names)
    codecs = [wavcodes.load(name, path, threads=1) for name, path in weights.items()] + [wavcodes.load(threads=1)]
    clips = [
        exact.clip(codec.spec, round((0.08 + k / 60) * codec.spec.sample_rate), k) for k in range(5) for codec in codecs
    ]

    def call(n: int) -> tuple[Codes, NDArray[np.float32]]:
        codec, clip = codecs[n % len(codecs)], clips[n % len(clips)]
        codes = codec.encode(clip, codec.spec.sample_rate)
        return codes, codec.decode(codes)

    expected = [call(n) for n in range(len(clips))]
    wrong: list[int] = []

    def work(thread: int) -> None:
        for step in range(25):
            n = (thread * 7 + step) % len(clips)
            codes, decoded = call(n)
            if codes != expected[n][0] or not np.array_equal(decoded, expected[n][1]):
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# ---- audio that is taken, and audio that is not


@pytest.mark.parametrize(
    "same",
    [
        lambda x: x[np.newaxis],
        lambda x: x.astype(np.float64),
        lambda x: np.repeat(x, 2)[::2],
        lambda x: x[::-1].copy()[::-1],
        lambda x: np.stack([x, x], axis=1).T[1],
        lambda x: np.asfortranarray(np.stack([x, -x]))[:1],
        lambda x: x.astype(">f4"),
    ],
    ids=["rows", "float64", "stepped", "backwards", "transposed", "fortran", "big-endian"],
)
def test_the_same_audio_in_other_clothes(same: Callable[[NDArray], NDArray], codec: Codec, codes: Codes) -> None:
    assert codec.encode(same(AUDIO), RATE) == codes


def test_read_only_audio_is_taken_and_audio_is_never_changed(codec: Codec, codes: Codes) -> None:
    frozen = AUDIO.copy()
    frozen.flags.writeable = False
    assert codec.encode(frozen, RATE) == codes
    source = AUDIO.copy()
    codec.encode(source, RATE)
    codec.encode_latent(source, RATE)
    assert source.tobytes() == AUDIO.tobytes()


def test_float16_is_taken_as_it_is(codec: Codec) -> None:
    half = AUDIO.astype(np.float16)
    assert codec.encode(half, RATE) == codec.encode(half.astype(np.float32), RATE)


BAD_AUDIO = {
    "empty": (np.zeros(0, np.float32), "expected at least one sample, got none"),
    "empty channels": (np.zeros((1, 0), np.float32), "expected at least one sample, got none"),
    "nan": (np.float32([0, np.nan]), "expected finite samples, but sample 1 of channel 0 is nan"),
    "infinite": (np.float32([-np.inf, 0]), "expected finite samples, but sample 0 of channel 0 is -inf"),
    "too large for float32": (np.array([0, 1e300]), "sample 1 of channel 0 is inf"),
    "unscaled": (np.float32([0, 20_000]), "divide them by 32768"),
    "int16": (np.zeros(9, np.int16), "int16; scale first, such as audio / 32768"),
    "uint8": (np.zeros(9, np.uint8), "uint8; scale first"),
    "bool": (np.zeros(9, bool), "expected an array of floats"),
    "complex": (np.zeros(9, complex), "expected an array of floats"),
    "objects": (np.array([None]), "expected an array of floats"),
    "text": ("speech.wav", "expected an array of floats"),
    "none": (None, "expected an array of floats"),
    "stereo": (np.zeros((2, 90), np.float32), r"got \(2, 90\); mix down first: wavcodes.to_mono"),
    "transposed": (np.zeros((90, 1), np.float32), r"got \(90, 1\); channels come first here: pass audio.T"),
    "transposed stereo": (np.zeros((90, 2), np.float32), r"wavcodes.to_mono\(audio.T\)"),
    "batch as an array": (np.zeros((4, 1, 90), np.float32), "pass a batch as a list of clips"),
    "a number": (np.float32(0.5), r"got \(\)"),
}


@pytest.mark.parametrize(("audio", "message"), BAD_AUDIO.values(), ids=BAD_AUDIO)
def test_audio_that_is_refused(audio: Any, message: str, codec: Codec) -> None:
    for method in (codec.encode, codec.encode_latent):
        with pytest.raises(InputError, match=message):
            method(audio, RATE)
    with pytest.raises(InputError, match=message):
        codec.encode([AUDIO, audio], RATE)


@pytest.mark.parametrize("rate", [44_100, 8_000, 0, -16_000, 15_999.9])
def test_another_rate_is_refused_with_the_remedy(rate: float, codec: Codec) -> None:
    remedy = re.escape(f"convert first: wavcodes.resample(audio, {rate}, 16000)")
    for method in (codec.encode, codec.encode_latent):
        with pytest.raises(InputError, match=remedy):
            method(AUDIO, rate)


# ---- codes that are refused


def test_codes_of_another_codec_are_refused(codec: Codec) -> None:
    others = Codes.from_flat([0] * 32, wavcodes.spec("encodec_24khz"))
    with pytest.raises(
        InputError, match="expected codes of wavcodes_16khz, got codes of encodec_24khz; load that codec"
    ):
        codec.decode(others)


@pytest.mark.parametrize(
    "change", [{"codebook_size": 2048}, {"hop_length": 640}, {"sample_rate": 24_000}, {"channels": 2}]
)
def test_codes_that_contradict_the_codec_are_refused(change: dict[str, int], codec: Codec, codes: Codes) -> None:
    with pytest.raises(InputError, match=r"wavcodes_16khz"):
        codec.decode(replace(codes, framing=replace(codes.framing, **change)))


def test_codes_of_other_strides_are_refused(codec: Codec, codes: Codes) -> None:
    framing = replace(codes.framing, strides=(1, 2), frame_multiple=2, tail_frames=0)
    strided = Codes(framing, (codes.books[0][:14], codes.books[1][:7]), 4_000)
    with pytest.raises(InputError, match="stride"):
        codec.decode(strided)


@pytest.mark.parametrize("thing", [np.zeros((12, 4), np.int64), [[1, 2, 3]], "codes", None])
def test_what_is_no_codes_is_refused_with_the_remedy(thing: Any, codec: Codec) -> None:
    with pytest.raises(InputError, match=r"expected Codes, got .*; Codes.from_flat makes them"):
        codec.decode(thing)


def test_too_few_frames_are_refused(codec: Codec, codes: Codes) -> None:
    with pytest.raises(InputError, match="expected at least 15 frames for num_samples = 4480, got 14"):
        codec.decode(replace(codes, num_samples=14 * 320))


def test_a_shorter_length_is_a_shorter_clip(codec: Codec, codes: Codes) -> None:
    sound = codec.decode(codes)
    for num_samples in (0, 1, 17, 320, 4_000):
        np.testing.assert_array_equal(codec.decode(replace(codes, num_samples=num_samples)), sound[:, :num_samples])


# ---- names and weights


def test_names_of_codecs() -> None:
    assert wavcodes.load().spec.name == "wavcodes_16khz"
    assert wavcodes.load("WavCodes-16kHz").spec is wavcodes.spec("wavcodes_16khz")
    with pytest.raises(
        InputError, match=r"got 'encodek-24khz'; did you mean encodec_24khz\? there are: wavcodes_16khz, "
    ):
        wavcodes.load("encodek-24khz")


def test_default_number_of_threads() -> None:
    assert wavcodes.load(threads=3).threads == 3
    assert wavcodes.load().threads >= 1
    with pytest.raises(InputError, match="threads of 1 to 1024, got threads = 0"):
        wavcodes.load(threads=0)


def write(folder: Path, tensors: dict[str, NDArray]) -> Path:
    path = folder / "model.safetensors"
    save_file(tensors, path)
    return path


Small = tuple[Callable[[], Codec], dict[str, NDArray], Path]


@pytest.fixture
def small(tmp_path: Path) -> Small:
    """Loads a small EnCodec; the tensors in its file; the file."""
    checkpoint, path = exact.small("encodec", tmp_path)
    return (lambda: Codec(checkpoint, path)), load_file(path), path


def metas_name(name: str, strides: int) -> str:
    """Name of a tensor in Meta's own checkpoint, from that on the Hub, of a model of so many strides."""
    if name.startswith("quantizer"):
        return name.replace("quantizer.layers", "quantizer.vq.layers").replace(".codebook.", "._codebook.")
    name = name.replace(".layers.", ".model.", 1)
    number = int(name.split(".")[2])
    if ".lstm." in name:
        return name
    transposed = name.startswith("decoder") and number in range(3, 3 * strides + 1, 3)
    return name.replace(".conv.", ".convtr.convtr." if transposed else ".conv.conv.", 1)


def on_the_hub(tensors: dict[str, NDArray]) -> dict[str, NDArray]:
    """As transformers stores them: weight norm not folded, and what training keeps beside the codebooks."""
    stored: dict[str, NDArray] = {}
    for seed, (name, value) in enumerate(tensors.items()):
        if name.endswith("conv.weight"):
            stored[f"{name}_g"] = 1 + exact.numbers(seed, len(value)).reshape(-1, 1, 1) / 2
            stored[f"{name}_v"] = value
        elif name.endswith(".codebook"):
            extra = {"embed": value, "embed_avg": value * 2, "cluster_size": value[:, 0], "inited": np.float32([1])}
            stored |= {f"{name}.{part}": np.ascontiguousarray(each) for part, each in extra.items()}
        else:
            stored[name] = value
    return stored


def test_the_same_weights_in_every_published_layout(small: Small) -> None:
    load, tensors, path = small
    hub = on_the_hub(tensors)
    newer = {
        name.replace("weight_g", "parametrizations.weight.original0").replace(
            "weight_v", "parametrizations.weight.original1"
        ): value
        for name, value in hub.items()
    }
    meta = {metas_name(name, strides=3): value for name, value in hub.items()}
    assert len({*hub, *newer, *meta}) > 2 * len(hub)
    found = []
    for layout in (hub, newer, meta):
        write(path.parent, layout)
        codec = load()
        found.append((codec.weights_digest, exact.digest(codec.decode(codec.encode(AUDIO, 24_000)))))
    assert found == found[:1] * 3
    assert len(found[0][0]) == 32
    hub["decoder.layers.0.conv.bias"] += 1
    write(path.parent, hub)
    assert load().weights_digest != found[0][0]


def test_metas_names_are_the_published_ones(shared: Path) -> None:
    layouts = shared / "facts" / "weights" / "layouts"
    hub, meta = (
        json.loads((layouts / f"{name}.json").read_text()) for name in ("hf_encodec_24khz.wg", "encodec_24khz.th")
    )
    assert {metas_name(name, strides=4) for name in hub} == set(meta)


def test_all_faults_of_weights_are_told_together(
    small: Small,
) -> None:
    load, tensors, path = small
    load()
    tensors["decoder.layers.0.conv.weights"] = tensors.pop("decoder.layers.0.conv.weight")
    tensors["encoder.layers.0.conv.bias"] = np.zeros(3, np.float32)
    tensors["quantizer.layers.5.codebook"] = tensors["quantizer.layers.5.codebook"].astype(np.float64)
    tensors["quantizer.layers.2.codebook"][3, 1] = np.nan
    write(path.parent, tensors)
    with pytest.raises(ModelError) as caught:
        load()
    for fault in (
        "model.safetensors does not hold the weights",
        "1 missing: decoder.layers.0.conv.weight (32, 16, 7)",
        "1 unexpected: decoder.layers.0.conv.weights",
        "1 misshapen: encoder.layers.0.conv.bias (3,), expected (4,)",
        "1 not float32: quantizer.layers.5.codebook (float64)",
        "1 NaN or infinite: quantizer.layers.2.codebook",
    ):
        assert fault in str(caught.value)


def test_what_is_not_safetensors_is_refused(small: Small) -> None:
    load, _, path = small
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(FormatError, match="expected an intact safetensors file"):
        load()
    path.write_bytes(b"PK\x03\x04" + bytes(200))
    with pytest.raises(FormatError, match="expected the directory of an archive"):
        load()


def test_weights_of_another_codec_are_refused(small: Small) -> None:
    with pytest.raises(ModelError, match=r"missing: .*unexpected: "):
        wavcodes.load("wavcodes_16khz", weights=small[2])

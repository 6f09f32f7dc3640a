"""`StreamEncoder` and `StreamDecoder`: pieces of any size, delays, exact lengths, and misuse."""

import threading
from pathlib import Path
from typing import Any, NoReturn

import exact
import numpy as np
import pytest
from numpy.typing import NDArray

import wavcodes
from wavcodes import Codec, Codes, InputError, StreamDecoder, StreamEncoder


@pytest.fixture(scope="module")
def own() -> Codec:
    return wavcodes.load("wavcodes_16khz")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Codec:
    return Codec(*exact.small("encodec", tmp_path_factory.mktemp("small")))


@pytest.fixture(scope="module", params=["own", "small"])
def codec(request: pytest.FixtureRequest) -> Codec:
    return request.getfixturevalue(request.param)


def first_frames(codec: Codec) -> int:
    """Frames that must be there before anything comes out.

    EnCodec mirrors the first 6 rows of a signal to pad it, also in its widest layers at the frame rate.
    """
    return 7 if codec.spec.name == "encodec_24khz" else 0


def silence(num_samples: int) -> NDArray[np.float32]:
    return np.zeros(num_samples, np.float32)


# ---- lengths and delays


@pytest.mark.parametrize(
    ("piece", "lengths"),
    [
        (1, range(1, 701, 61)),
        (3, range(1, 701, 13)),
        (7, range(2, 701, 13)),
        (97, range(3, 701, 13)),
        (321, range(4, 701, 13)),
    ],
)
def test_exact_lengths_in_odd_pieces(piece: int, lengths: range, codec: Codec) -> None:
    spec, audio = codec.spec, exact.signal(700)
    for num_samples in {*lengths, 319, 320, 321, 640}:
        encoder, decoder = codec.stream_encoder(num_codebooks=2), codec.stream_decoder()
        parts = [encoder.push(audio[i : min(i + piece, num_samples)]) for i in range(0, num_samples, piece)]
        parts.append(encoder.flush())
        codes = Codes.concat(parts)
        assert (codes.num_samples, codes.num_frames) == (num_samples, spec.num_frames(num_samples))
        assert all(part.num_samples <= part.num_frames * spec.hop_length for part in parts)
        sound = np.concatenate([*(decoder.push(part) for part in parts), decoder.flush()], axis=1)
        assert sound.shape == (1, num_samples)


def test_codes_come_as_soon_as_the_delay_allows(codec: Codec) -> None:
    spec, encoder = codec.spec, codec.stream_encoder()
    audio = exact.signal(11 * spec.hop_length + encoder.delay)
    frames = 0
    for sample in range(len(audio)):
        frames += encoder.push(audio[sample : sample + 1]).num_frames
        pushed = sample + 1
        # Frame t is complete with sample (t + 1) * hop_length; its codes come `delay` samples later.
        complete = max(0, pushed - encoder.delay) // spec.hop_length
        assert frames == (complete if complete >= first_frames(codec) else 0)
    assert frames == 11


def test_sound_comes_as_soon_as_the_delay_allows(codec: Codec) -> None:
    spec, decoder = codec.spec, codec.stream_decoder()
    codes = codec.encode(exact.signal(9 * spec.hop_length), spec.sample_rate)
    given = 0
    for t in range(codes.num_frames):
        given += decoder.push(codes.only_frames(t, t + 1)).shape[1]
        complete = min(codes.num_samples, max(0, (t + 1) * spec.hop_length - decoder.delay))
        assert given == (complete if t + 1 >= first_frames(codec) else 0)
    given += decoder.flush().shape[1]
    assert given == codes.num_samples


def test_delays(own: Codec, small: Codec) -> None:
    # Both encoders are causal; the own codec's decoder is one frame late.
    assert (own.stream_encoder().delay, own.stream_decoder().delay) == (0, 320)
    assert (small.stream_encoder().delay, small.stream_decoder().delay) == (0, 0)


@pytest.mark.parametrize("name", exact.SMALL)
def test_the_delay_is_the_longest_wait(name: str, tmp_path: Path) -> None:
    codec = Codec(*exact.small(name, tmp_path))
    spec, framing = codec.spec, codec.spec.framing()
    hop, step = spec.hop_length, framing.step_samples
    encoder, decoder = codec.stream_encoder(), codec.stream_decoder()
    total = (24 + 2 * decoder.delay // step) * step + encoder.delay
    audio, frames, given, extent, waits, lags = exact.clip(spec, total), 0, 0, 0, [], []
    parts = []
    for pushed in range(1, total + 1):
        part = encoder.push(audio[:, pushed - 1 : pushed])
        for frame in range(frames, frames + part.num_frames):
            segment, within = divmod(frame, framing.step_frames)
            waits.append(pushed - segment * step - (within + 1) * hop)
        frames += part.num_frames
        for begin in range(0, part.num_frames, framing.step_frames):
            parts.append(part.only_frames(begin, begin + framing.step_frames))
    for part in parts:
        given += decoder.push(part).shape[1]
        extent += part.extent
        lags.append(extent - given)
    running = len(waits) // 2 // framing.step_frames * framing.step_frames  # behind what the start of a signal costs
    assert max(waits[running:]) == encoder.delay
    # Within a step, codes come together, and the sound of a segmented codec comes up to its next segment.
    expected = 0 if spec.segment else decoder.delay
    assert max(lags[len(lags) // 2 :]) == expected


def test_delays_of_lyra(shared: Path) -> None:
    codec = wavcodes.load("lyra_v2", weights=shared / "weights" / "lyra_v2_1.2")
    assert (codec.stream_encoder().delay, codec.stream_decoder().delay) == (0, 0)


def test_nothing_depends_on_what_comes_later(codec: Codec) -> None:
    # Causal codecs: the codes of a prefix are a prefix of the codes, once the start is over.
    spec, audio = codec.spec, exact.signal(12 * codec.spec.hop_length)
    whole = codec.stream_encoder().push(audio)
    for frames in (7, 8, 11):
        other = audio.copy()
        other[frames * spec.hop_length :] = 0.5
        changed = codec.stream_encoder().push(other)
        assert changed.only_frames(0, frames) == whole.only_frames(0, frames)
        assert changed != whole


# ---- pieces of nothing, ends


def test_a_push_of_nothing_changes_nothing(codec: Codec) -> None:
    spec, audio = codec.spec, exact.signal(1_000)
    expected = codec.encode(audio, spec.sample_rate)
    encoder = codec.stream_encoder()
    parts = [encoder.push(silence(0)), encoder.push(audio[:1]), encoder.push(silence(0)[np.newaxis])]
    parts += [encoder.push(audio[1:]), encoder.push(silence(0)), encoder.flush()]
    assert (parts[0].num_frames, parts[0].num_samples) == (0, 0)
    assert Codes.concat(parts) == expected
    decoder = codec.stream_decoder()
    nothing = parts[0]
    sound = [decoder.push(nothing), decoder.push(expected), decoder.push(nothing), decoder.flush()]
    assert sound[0].shape == (1, 0)
    assert np.concatenate(sound, axis=1).tobytes() == codec.decode(expected).tobytes()


def test_a_signal_of_nothing(codec: Codec) -> None:
    for pushes in (0, 1, 2):
        encoder = codec.stream_encoder()
        parts = [encoder.push(silence(0)) for _ in range(pushes)]
        codes = Codes.concat([*parts, encoder.flush()])
        assert (codes.num_frames, codes.num_samples) == (0, 0)
        decoder = codec.stream_decoder()
        assert decoder.push(codes).shape == (1, 0)
        assert decoder.flush().shape == (1, 0)
        assert codec.decode(codes).shape == (1, 0)


@pytest.mark.parametrize("pushed", [0, 1, 1_000])
def test_a_flushed_encoder_takes_no_more(pushed: int, codec: Codec) -> None:
    encoder = codec.stream_encoder()
    encoder.push(exact.signal(pushed))
    encoder.flush()
    with pytest.raises(InputError, match="this stream has been flushed; start a new one"):
        encoder.push(silence(5))
    with pytest.raises(InputError, match="this stream has been flushed; start a new one"):
        encoder.push(silence(0))
    with pytest.raises(InputError, match="this stream has been flushed; start a new one"):
        encoder.flush()


@pytest.mark.parametrize("pushed", [0, 1, 1_000])
def test_a_flushed_decoder_takes_no_more(pushed: int, codec: Codec) -> None:
    decoder = codec.stream_decoder()
    codes = codec.encode(exact.signal(1_000), codec.spec.sample_rate)
    decoder.push(codes[: pushed / codec.spec.sample_rate])
    decoder.flush()
    with pytest.raises(InputError, match="this stream has been flushed; start a new one"):
        decoder.push(codes)
    with pytest.raises(InputError, match="this stream has been flushed; start a new one"):
        decoder.flush()


# ---- what is refused leaves the stream as it was


def test_refused_audio_leaves_the_stream_as_it_was(codec: Codec) -> None:
    audio = exact.signal(1_000)
    encoder = codec.stream_encoder()
    parts = [encoder.push(audio[:333])]
    for bad, message in (
        (np.float32([np.nan]), "finite"),
        (np.zeros(4, np.int16), "int16"),
        (np.zeros((2, 4), np.float32), "to_mono"),
        (np.float32([1_000]), "divide them by 32768"),
    ):
        with pytest.raises(InputError, match=message):
            encoder.push(bad)
    parts += [encoder.push(audio[333:]), encoder.flush()]
    assert Codes.concat(parts) == codec.encode(audio, codec.spec.sample_rate)


def test_refused_codes_leave_the_stream_as_it_was(codec: Codec) -> None:
    spec = codec.spec
    codes = codec.encode(exact.signal(4_000), spec.sample_rate)
    decoder = codec.stream_decoder()
    parts = [decoder.push(codes.only_frames(0, 4))]
    with pytest.raises(InputError, match=f"began with {codes.num_codebooks} codebooks, got 1"):
        decoder.push(codes.codebooks(1))
    with pytest.raises(InputError, match="expected codes of"):
        decoder.push(Codes.from_flat([0] * 46, wavcodes.spec("lyra_v2")))
    with pytest.raises(InputError, match=r"expected Codes, got ndarray; Codes\.from_flat makes them"):
        decoder.push(np.zeros((2, 3), np.int64))  # type: ignore[arg-type]
    parts += [decoder.push(codes.only_frames(4, codes.num_frames)), decoder.flush()]
    assert np.concatenate(parts, axis=1).tobytes() == codec.decode(codes).tobytes()


def test_choices_that_there_are_not(codec: Codec) -> None:
    with pytest.raises(InputError, match="got bandwidth = 99"):
        codec.stream_encoder(bandwidth=99)
    with pytest.raises(InputError, match="got num_codebooks = 0"):
        codec.stream_encoder(num_codebooks=0)
    with pytest.raises(InputError, match="threads of 1 to 1024"):
        codec.stream_decoder(threads=0)


# ---- slices


def test_slices_decode_to_their_own_length(codec: Codec) -> None:
    spec = codec.spec
    codes = codec.encode(exact.signal(4_001), spec.sample_rate)
    sound = codec.decode(codes)
    for begin, end in ((0.0, 0.05), (0.05, 0.1), (0.03, None), (0.16, 0.1601)):
        piece = codes[begin:end]
        assert codec.decode(piece).shape == (1, piece.num_samples)
        assert piece.num_samples > 0
    # From the start, nothing is missing before the slice: it sounds as in the whole.
    piece = codes[:0.1]
    assert codec.decode(piece).tobytes() == sound[:, : piece.num_samples].tobytes()


def test_lower_bandwidths_decode_to_the_same_length(codec: Codec) -> None:
    codes = codec.encode(exact.signal(1_234), codec.spec.sample_rate)
    sounds = {count: codec.decode(codes.codebooks(count)) for count in range(1, codes.num_codebooks + 1)}
    assert {sound.shape for sound in sounds.values()} == {(1, 1_234)}
    assert len({sound.tobytes() for sound in sounds.values()}) == len(sounds)


def test_nothing_follows_the_end_of_a_signal(codec: Codec) -> None:
    codes = codec.encode(exact.signal(1_001), codec.spec.sample_rate)
    decoder = codec.stream_decoder()
    decoder.push(codes)
    with pytest.raises(InputError, match="ended the signal"):
        decoder.push(codes)
    decoder.push(codes.frames(0, 0))
    with pytest.raises(InputError, match="ended the signal"):
        decoder.push(codes)
    for parts in ([codes, codes], [codes, codes.frames(0, 0), codes]):
        with pytest.raises(InputError, match="keep separate clips apart"):
            Codes.concat(parts)


# ---- threads


def assert_one_at_a_time(stream: StreamEncoder | StreamDecoder, piece: NDArray | Codes) -> list[str]:
    """Pushes from four threads at once; the messages of those that were refused."""
    start, refused = threading.Barrier(4), []

    def push() -> None:
        start.wait()
        for _ in range(4):
            try:
                stream.push(piece)  # type: ignore[arg-type]
            except InputError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=push) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return refused


def test_one_stream_in_two_threads_is_an_error_and_no_crash(codec: Codec) -> None:
    spec = codec.spec
    audio = exact.signal(5 * spec.sample_rate if spec.name == "wavcodes_16khz" else 20 * spec.sample_rate)
    codes = codec.encode(audio, spec.sample_rate).only_frames(0, len(audio) // spec.hop_length)
    for stream, piece in ((codec.stream_encoder(threads=1), audio), (codec.stream_decoder(threads=1), codes)):
        refused = assert_one_at_a_time(stream, piece)
        assert refused
        assert set(refused) == {"this stream is in use by another thread; give each thread its own"}
        stream.flush()


def test_a_stream_outlives_its_codec() -> None:
    encoder = wavcodes.load("wavcodes_16khz").stream_encoder()
    audio = exact.signal(2_000)
    codes = Codes.concat([encoder.push(audio), encoder.flush()])
    assert codes == wavcodes.load("wavcodes_16khz").encode(audio, 16_000)


# ---- what failed once


@pytest.mark.parametrize("name", ["encodec", "encodec_segments", "mimi"])
def test_a_stream_that_failed_takes_no_more(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codec = Codec(*exact.small(name, tmp_path))
    audio = exact.clip(codec.spec, 4000)
    codes = codec.encode(audio, codec.spec.sample_rate)
    encoder, decoder = codec.stream_encoder(), codec.stream_decoder()

    def fails(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(codec._engine, "quantize", fails)
        patch.setattr(codec._engine, "dequantize", fails)
        with pytest.raises(KeyboardInterrupt):
            encoder.push(audio)
        with pytest.raises(KeyboardInterrupt):
            decoder.push(codes)
    for again in (lambda: encoder.push(audio), encoder.flush, lambda: decoder.push(codes), decoder.flush):
        with pytest.raises(InputError, match="this stream has failed before"):
            again()


def test_segments_are_for_one_thread_at_a_time(tmp_path: Path) -> None:
    codec = Codec(*exact.small("encodec_segments", tmp_path))
    encoder, audio = codec.stream_encoder(), exact.clip(codec.spec, 4000)
    inside, leave = threading.Event(), threading.Event()
    encode = codec._engine.quantize

    def waits(*arguments: Any) -> Any:
        inside.set()
        leave.wait(10)
        return encode(*arguments)

    codec._engine.quantize = waits  # type: ignore[method-assign]
    thread = threading.Thread(target=lambda: encoder.push(audio))
    thread.start()
    inside.wait(10)
    with pytest.raises(InputError, match="in use by another thread"):
        encoder.push(audio)
    leave.set()
    thread.join()

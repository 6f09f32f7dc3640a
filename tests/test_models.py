"""Each model family, as graph and tensors run by the reference interpreter, against its upstream implementation."""

import importlib.util
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import peers
import peers_dac
import pytest
import reference
import upstream

import wavcodes
from wavcodes.errors import ModelError
from wavcodes.graph import tensor_shapes
from wavcodes.models import dac, encodec, lyra
from wavcodes.models import wavcodes as own
from wavcodes.weights import check, digest, tflite

OWN_WEIGHTS = Path(wavcodes.__file__).parent / "data" / "wavcodes_16khz.safetensors"


def speech(shared: Path, num_samples: int) -> np.ndarray:
    """The first samples of a clip of speech at 16 kHz."""
    import soundfile

    audio, sample_rate = soundfile.read(shared / "audio" / "test" / "speech_f_en_16k_libri_1088.flac", dtype="float32")
    assert sample_rate == 16_000
    return audio[:num_samples]


def assert_codes_agree(network, tensors, latent: np.ndarray, codes: np.ndarray) -> None:
    """`codes` (T, K) from upstream are those of the reference, but for choices that rounding decides."""
    ours = reference.quantize(network.quantizer, tensors, latent, codes.shape[1])
    differing = np.flatnonzero((ours != codes).any(1))
    first = (ours[differing] != codes[differing]).argmax(1)
    margins = reference.margins(network.quantizer, tensors, latent[differing], codes[differing])
    assert np.all(np.abs(margins[np.arange(len(differing)), first]) < 1e-5)
    assert len(differing) <= max(1, len(codes) // 100)


def assert_agreement(network, tensors, audio, latent, codes, sound) -> None:
    """Latent (T, D), codes (T, K) and the sound of these codes (N, C) from upstream are those of the reference."""
    ours = reference.run(network.encoder, tensors, audio)
    np.testing.assert_allclose(ours, latent, rtol=0, atol=1e-4)
    assert_codes_agree(network, tensors, ours, codes)
    decoded = reference.run(network.decoder, tensors, reference.dequantize(network.quantizer, tensors, codes))
    np.testing.assert_allclose(decoded, sound, rtol=0, atol=1e-4)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """On few cores the threads of PyTorch wait for each other longer than they work."""
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)


ENCODECS = {
    "24khz": replace(encodec.ENCODEC_24KHZ, num_filters=8),
    "32khz": replace(encodec.ENCODEC_32KHZ, num_filters=8),
    "48khz": replace(encodec.ENCODEC_48KHZ, num_filters=8),
}


@pytest.fixture(scope="module")
def encodec_24khz(peer, tmp_path_factory):
    """Upstream's model, and ours: the network and its tensors."""
    peer("transformers")
    model, path = peers.encodec_peer("encodec_24khz", 1, tmp_path_factory.mktemp("encodec"), num_filters=8)
    network = encodec.network(ENCODECS["24khz"])
    return model, network, check(encodec.tensors((path,)), tensor_shapes(network), path.name)


@pytest.mark.parametrize("num_samples", [1, 6, 7, 319, 321, 6720])
def test_encodec_agrees_with_transformers(num_samples, encodec_24khz, peer):
    torch = peer("torch")
    model, network, tensors = encodec_24khz
    audio = peers.sound(seed=num_samples, num_samples=num_samples)
    with torch.no_grad():
        latent = model.encoder(torch.from_numpy(audio)[None, None])[0].T.numpy()
        encoded = model.encode(torch.from_numpy(audio)[None, None], bandwidth=24.0).audio_codes
        decoded = model.decode(encoded, [None]).audio_values[0].T.numpy()
    codes = encoded[0, 0].T.numpy()
    assert codes.shape == (-(-num_samples // 320), 32)
    assert_agreement(network, tensors, audio[:, np.newaxis], latent, codes, decoded)


def test_the_random_encodec_is_alive(encodec_24khz):
    # Otherwise agreement would mean nothing: signals must not fade or explode, and frames must get different codes.
    _, network, tensors = encodec_24khz
    x = peers.sound(seed=2, num_samples=24_000)[:, np.newaxis]
    for layer in network.encoder:
        x = reference.run([layer], tensors, x)
        assert 0.3 < x.std(0).mean() < 3
    codes = reference.quantize(network.quantizer, tensors, x, 32)
    assert min(len(np.unique(column)) for column in codes.T) > 20
    for layer in network.decoder:
        x = reference.run([layer], tensors, x)
        assert 0.1 < x.std(0).mean() < 3


@pytest.mark.parametrize("name", ENCODECS)
def test_encodec_agrees_with_metas_package(name, tmp_path, peer):
    torch = peer("torch")
    config = ENCODECS[name]
    make = partial(
        upstream.meta_encodec,
        channels=config.channels,
        num_filters=config.num_filters,
        ratios=config.ratios,
        num_codebooks=config.num_codebooks,
        codebook_size=config.codebook_size,
        causal=config.causal,
        true_skip=not config.conv_shortcut,
        norm="time_group_norm" if config.group_norm else "weight_norm",
    )
    model = peer("encodec", make)
    books = [layer._codebook.embed for layer in model.quantizer.vq.layers]
    peers.randomize_encodec(model.encoder, books, model.decoder, config.channels, seed=2)
    state = model.state_dict()
    torch.save({"best_state": state, "xp.cfg": "seed: 1"} if name == "32khz" else state, tmp_path / "meta.th")
    network = encodec.network(config)
    tensors = check(encodec.tensors((tmp_path / "meta.th",)), tensor_shapes(network), "meta")
    for num_samples in (1, 6, 7, 639, 641, 9_000):
        audio = np.stack([peers.sound(num_samples + c, num_samples) for c in range(config.channels)])
        with torch.no_grad():
            latent = model.encoder(torch.from_numpy(audio)[None])
            codes = model.quantizer.vq.encode(latent)
            sound = model.decoder(model.quantizer.decode(codes))[0].numpy().T
        assert_agreement(network, tensors, audio.T, latent[0].numpy().T, codes[:, 0].numpy().T, sound)


DACS = {
    "16khz": replace(dac.DAC_16KHZ, encoder_dim=8, decoder_dim=96, dim=128),
    "24khz": replace(dac.DAC_24KHZ, encoder_dim=8, decoder_dim=96, dim=128),
    "44khz": replace(dac.DAC_44KHZ, encoder_dim=8, decoder_dim=96, dim=128),
    "44khz_16kbps": replace(dac.DAC_44KHZ_16KBPS, encoder_dim=8, decoder_dim=96),
}


@pytest.mark.parametrize(
    "name", [each if each != "24khz" else pytest.param(each, marks=pytest.mark.slow) for each in DACS]
)
def test_dac_agrees_with_descripts_package(name, tmp_path, peer):
    torch, files = peer("torch"), peer("safetensors.numpy")
    config = DACS[name]
    make = partial(
        upstream.descript_dac,
        encoder_dim=config.encoder_dim,
        encoder_rates=list(config.rates),
        latent_dim=config.dim,
        decoder_dim=config.decoder_dim,
        decoder_rates=list(reversed(config.rates)),
        n_codebooks=config.num_codebooks,
    )
    model = peer("dac", make)
    peers_dac.randomize_dac(model, seed=2)
    state = model.state_dict()
    torch.save({"state_dict": state, "metadata": {"kwargs": {"encoder_rates": [2, 4]}}}, tmp_path / "dac.pth")
    network = dac.network(config)
    tensors = check(dac.tensors((tmp_path / "dac.pth",)), tensor_shapes(network), "dac")
    # As the copy at parler-tts/dac_44khZ_8kbps has it.
    files.save_file({f"model.{tensor}": value.numpy() for tensor, value in state.items()}, tmp_path / "copy")
    assert digest(check(dac.tensors((tmp_path / "copy",)), tensor_shapes(network), "copy")) == digest(tensors)

    hop = config.hop_length
    short = 8 if 5 in config.rates else 0
    for num_samples in (1, hop - 1, hop, hop + 1, 9_000):
        audio = peers.sound(num_samples, num_samples)[np.newaxis]
        with torch.no_grad():
            padded = model.preprocess(torch.from_numpy(audio)[None], None)
            latent, codes = model.encoder(padded), model.encode(padded)[1]
            sound = model.decode(model.quantizer.from_codes(codes)[0])[0].numpy().T
        assert len(sound) == padded.shape[2] - short  # where upstream is short, the end is silence
        sound = np.pad(sound, ((0, short), (0, 0)))
        assert_agreement(network, tensors, audio.T, latent[0].numpy().T, codes[0].numpy().T, sound)


@pytest.mark.parametrize(
    ("family", "config", "layouts"),
    [
        (encodec, encodec.ENCODEC_24KHZ, ("hf_encodec_24khz.wg", "hf_encodec_24khz.param", "encodec_24khz.th")),
        (encodec, encodec.ENCODEC_32KHZ, ("hf_encodec_32khz.wg", "hf_encodec_32khz.param")),
        (encodec, encodec.ENCODEC_48KHZ, ("hf_encodec_48khz.wg", "hf_encodec_48khz.param", "encodec_48khz.th")),
    ],
)
def test_equal_parts_of_published_layouts_become_equal_tensors(family, config, layouts, shared, monkeypatch):
    # Each file lists its tensors part by part in the order of the modules, so equal draws for equal parts must end
    # up as equal tensors of the graph, whatever their names.
    network = family.network(config)
    found = {}
    for name in layouts:
        layout = json.loads((shared / "facts" / "weights" / "layouts" / f"{name}.json").read_text())
        draws = {part: np.random.default_rng(seed) for seed, part in enumerate(("encoder", "quantizer", "decoder"))}
        stored = {}
        for tensor, (dtype, shape) in layout.items():
            assert dtype == "float32"
            stored[tensor] = draws[tensor.split(".")[0]].random(shape, np.float32)
        monkeypatch.setattr(family, "read", lambda path, stored=stored: stored)
        found[name] = check(family.tensors((Path(name),)), tensor_shapes(network), name)
    first, *others = found.values()
    for other in others:
        assert all(np.array_equal(first[tensor], other[tensor]) for tensor in first)


@pytest.fixture(scope="module")
def lyra_v2(shared):
    """Paths of the TFLite files, the network and its tensors."""
    folder = shared / "weights" / "lyra_v2_1.2"
    paths = tuple(folder / f"{name}.tflite" for name in ("soundstream_encoder", "quantizer", "lyragan"))
    network = lyra.network()
    return paths, network, check(lyra.tensors(paths), tensor_shapes(network), "Lyra v2")


def frame_by_frame(interpreter, rows: np.ndarray) -> np.ndarray:
    """Output of a LiteRT model for one row after the other; its history starts afresh."""
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    outputs = []
    for row in rows:
        interpreter.set_tensor(source["index"], row.reshape(source["shape"]))
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(target["index"]).ravel())
    return np.array(outputs)


def test_lyra_agrees_with_litert(lyra_v2, shared, peer):
    paths, network, tensors = lyra_v2
    interpreters = [partial(peer("ai_edge_litert.interpreter").Interpreter, str(path)) for path in paths]
    audio = speech(shared, 40_123)
    frames = np.pad(audio, (0, -len(audio) % 320)).reshape(-1, 320)

    latent = frame_by_frame(interpreters[0](), frames)
    ours = reference.run(network.encoder, tensors, audio[:, np.newaxis])
    np.testing.assert_allclose(ours, latent, rtol=0, atol=1e-4)

    quantizer = interpreters[1]()
    encode, decode = quantizer.get_signature_runner("encode"), quantizer.get_signature_runner("decode")
    encoded = [encode(input_frames=row.reshape(1, 1, 64), num_quantizers=np.int32(46)) for row in latent]
    (output,) = (name for name, value in encoded[0].items() if value.shape == (46, 1, 1))
    indices = [outputs[output].astype(np.int32) for outputs in encoded]
    codes = np.array(indices)[:, :, 0, 0]
    assert_codes_agree(network, tensors, latent, codes)

    quantized = np.array([decode(encoding_indices=index)["output_0"].ravel() for index in indices])
    np.testing.assert_allclose(
        reference.dequantize(network.quantizer, tensors, codes), quantized, rtol=0, atol=1e-4 * np.abs(quantized).max()
    )
    sound = reference.run(network.decoder, tensors, quantized)
    decoded = frame_by_frame(interpreters[2](), quantized)
    np.testing.assert_allclose(sound[:, 0], decoded.ravel(), rtol=0, atol=1e-4)
    assert np.corrcoef(sound[: len(audio), 0], audio)[0, 1] > 0.92


def test_lyra_starts_from_silence_and_decodes_with_the_books_it_encodes_with(lyra_v2):
    (encoder, quantizer, decoder), network, tensors = lyra_v2
    for path in (encoder, decoder):
        initial = [tensor.data for tensor in tflite.read(path)[1].tensors if tensor.data is not None]
        assert initial
        assert not any(values.any() for values in initial)
    decode = tflite.read(quantizer)[0]
    made_by = {operator.outputs[0]: operator for operator in decode.operators}
    lookups = [operator for operator in decode.operators if operator.name == "GATHER"]
    for lookup in lookups:
        # Its index is cut out of the list of all codes, and where it begins says which book this is.
        table, index = lookup.inputs
        k = decode.tensors[made_by[index].inputs[1]].data[0]
        np.testing.assert_array_equal(decode.tensors[table].data, tensors[f"quantizer.{k}.codebook"])
    assert len(lookups) == network.quantizer.num_codebooks


def test_lyra_refuses_other_files(lyra_v2):
    (encoder, quantizer, decoder), network, _ = lyra_v2
    for paths in ((decoder, quantizer, encoder), (quantizer, quantizer, decoder)):
        with pytest.raises(ModelError, match=r"expected a file of Lyra v2, version 1.2"):
            lyra.tensors(paths)
    with pytest.raises(ModelError, match=r"46 missing: quantizer.0.codebook"):
        check(lyra.tensors((encoder, encoder, decoder)), tensor_shapes(network), "x")


@pytest.fixture(scope="module")
def wavcodes_16khz():
    network = own.network(own.WAVCODES_16KHZ)
    return network, check(own.tensors((OWN_WEIGHTS,)), tensor_shapes(network), OWN_WEIGHTS.name)


@pytest.mark.parametrize("num_samples", [320, 640, 32_000])
def test_own_codec_agrees_with_its_description_in_pytorch(num_samples, wavcodes_16khz, shared, peer):
    torch = peer("torch")
    import own_reference

    network, tensors = wavcodes_16khz
    model = own_reference.Model({name: torch.from_numpy(np.array(value)) for name, value in tensors.items()})
    audio = speech(shared, num_samples)
    with torch.no_grad():
        latent = model.encode(torch.from_numpy(audio)[None])
        codes = model.codes(latent)
        decoded = model.decode(codes)[0].numpy()
    latent = latent[0].T.numpy()

    ours = reference.run(network.encoder, tensors, audio[:, np.newaxis])
    np.testing.assert_allclose(ours, latent, rtol=0, atol=1e-4)
    assert_codes_agree(network, tensors, ours, codes[0].T.numpy())
    quantized = reference.dequantize(network.quantizer, tensors, codes[0].T.numpy())
    sound = reference.run(network.decoder, tensors, quantized)[:, 0]
    np.testing.assert_allclose(sound, decoded, rtol=0, atol=1e-4)
    assert sound.shape == audio.shape


def test_own_codec_completes_its_last_frame(wavcodes_16khz):
    network, tensors = wavcodes_16khz
    audio = np.random.default_rng(3).standard_normal((1001, 1)) * 0.1
    padded = reference.run(network.encoder, tensors, np.pad(audio, ((0, 279), (0, 0))))
    np.testing.assert_array_equal(reference.run(network.encoder, tensors, audio), padded)
    assert len(padded) == 1280 // 320 + 1


def test_own_codec_reports_weights_that_do_not_fit(tmp_path, wavcodes_16khz):
    from safetensors.numpy import load_file, save_file

    stored = load_file(OWN_WEIGHTS)
    del stored["decoder.1.0.p2.bias"]
    stored["decoder.0.up.bias"] = stored["decoder.0.up.bias"][:-1]
    stored["g"] = np.zeros(1, np.float16)
    save_file(stored, tmp_path / "damaged.safetensors")
    with pytest.raises(
        ModelError, match=r"1 missing: decoder.1.0.p2.bias \(128,\); 1 unexpected: g; 1 misshapen: decoder.0.up.bias"
    ):
        check(own.tensors((tmp_path / "damaged.safetensors",)), tensor_shapes(wavcodes_16khz[0]), "damaged")

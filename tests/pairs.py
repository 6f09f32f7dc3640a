"""How the upstream package of each family is called, for `parity`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peers
import peers_dac
import peers_mimi
import peers_snac
from numpy.typing import NDArray
from parity import Pair, outputs

from wavcodes import Codes, _core

NOISE_SEED = 12


def random_pair(name: str, seed: int, folder: Path) -> Pair:
    """Upstream's model with random weights, and ours with the same.

    Args:
        name: One of `RANDOM`.
        seed: Decides all weights.
        folder: Where a file of them lies for the time being.
    """
    import torch

    torch.set_num_threads(1)  # on few cores they wait for each other longer than they work
    kind, make = RANDOM[name]
    model, path = make(name, seed, folder)
    try:
        return kind(name, model, path)
    finally:
        path.unlink()  # hundreds of megabytes


def sound(pair: Pair, seed: int, num_samples: int) -> NDArray[np.float32]:
    """A signal (C, N) for a codec."""
    return np.stack([peers.sound(seed + channel, num_samples) for channel in range(pair.spec.channels)])


class EncodecPair(Pair):
    package = "transformers"

    def encoding(self, audio: NDArray) -> tuple[NDArray, Codes]:
        import torch

        # Segments come in turn, each divided by its scale.
        with torch.inference_mode(), outputs(self.theirs.encoder) as latents:
            encoded = self.theirs.encode(torch.from_numpy(audio)[None], bandwidth=self.spec.bandwidths[-1])
        segments = [segment[0].numpy() for segment in encoded.audio_codes]
        if encoded.last_frame_pad_length:
            segments[-1] = segments[-1][:, : -encoded.last_frame_pad_length]
        facts: dict[str, Any] = {}
        if self.spec.segment is not None:
            facts["segments"] = [segment.shape[1] for segment in segments]
            facts["scales"] = [float(scale) for scale in encoded.audio_scales]
        books = list(np.concatenate(segments, axis=1))
        return np.concatenate(latents, axis=1), Codes.of(self.spec, books, audio.shape[1], **facts)

    def their_sound(self, codes: Codes) -> NDArray:
        import torch

        lengths = codes.segments or (codes.num_frames,)
        segments = np.split(np.asarray(codes).astype(np.int64), np.cumsum(lengths)[:-1], axis=1)
        missing = lengths[0] - lengths[-1]
        segments[-1] = np.pad(segments[-1], ((0, 0), (0, missing)))
        scales = [torch.tensor([[scale]]) for scale in codes.scales] if codes.segments else [None]
        with torch.inference_mode():
            batch = torch.from_numpy(np.stack(segments)[:, None])
            return self.theirs.decode(batch, scales, last_frame_pad_length=missing).audio_values[0].numpy()


class DacPair(Pair):
    package = "transformers"

    def encoding(self, audio: NDArray) -> tuple[NDArray, Codes]:
        import torch

        # Upstream leaves this to its feature extractor.
        padded = np.pad(audio, ((0, 0), (0, -audio.shape[1] % self.spec.hop_length)))
        with torch.inference_mode(), outputs(self.theirs.encoder) as latents:
            codes = self.theirs.encode(torch.from_numpy(padded)[None]).audio_codes[0].numpy()
        return latents[0], Codes.of(self.spec, list(codes), audio.shape[1])

    def their_sound(self, codes: Codes) -> NDArray:
        import torch

        batch = torch.from_numpy(np.asarray(codes).astype(np.int64))[None]
        with torch.inference_mode():
            return self.theirs.decode(audio_codes=batch).audio_values.numpy()


class SnacPair(Pair):
    package = "snac"

    def __init__(self, name: str, model: Any, path: Path) -> None:
        super().__init__(name, model, path)
        self.counts = [self.spec.num_codebooks]  # upstream takes no fewer

    def encoding(self, audio: NDArray) -> tuple[NDArray, Codes]:
        import torch

        with torch.inference_mode(), outputs(self.theirs.encoder) as latents:
            books = [book[0].numpy() for book in self.theirs.encode(torch.from_numpy(audio)[None])]
        return latents[0], Codes.of(self.spec, books, audio.shape[1])

    def their_sound(self, codes: Codes, source: Callable[[int, int], NDArray] | None = None) -> NDArray:
        import torch

        with torch.inference_mode(), peers_snac.noise(source):
            books = [torch.from_numpy(book.astype(np.int64))[None] for book in codes.books]
            return self.theirs.decode(books)[0].numpy()

    def noisy(self, codes: Codes) -> float:
        theirs = self.their_sound(codes, our_noise)
        return self.deviation_of_sound(self.ours.decode(codes, noise_seed=NOISE_SEED), theirs)


def our_noise(block: int, count: int) -> NDArray[np.float32]:
    """What our decoder adds in the block of that number."""
    return _core.noise(NOISE_SEED, block, 0, count)


class MimiPair(Pair):
    package = "moshi"

    def encoding(self, audio: NDArray) -> tuple[NDArray, Codes]:
        import torch

        with torch.inference_mode(), outputs(self.theirs.downsample) as latents:
            codes = self.theirs.encode(torch.from_numpy(audio)[None])[0].numpy()
        return latents[0], Codes.of(self.spec, list(codes), audio.shape[1])

    def their_sound(self, codes: Codes) -> NDArray:
        import torch

        with torch.inference_mode():
            return self.theirs.decode(torch.from_numpy(np.asarray(codes).astype(np.int64))[None])[0].numpy()


class LyraPair(Pair):
    """Google's files run by LiteRT, one frame of 320 samples after the other."""

    package = "ai-edge-litert"

    def __init__(self, folder: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        super().__init__("lyra_v2", lambda name: Interpreter(str(folder / f"{name}.tflite")), folder)
        self._quantizer = self.theirs("quantizer")
        self.counts = [self.spec.resolve_codebooks(bandwidth) for bandwidth in self.spec.bandwidths]

    def encoding(self, audio: NDArray) -> tuple[NDArray, Codes]:
        frames = np.pad(audio[0], (0, -audio.shape[1] % 320)).reshape(-1, 320)
        latents = self._run("soundstream_encoder", frames)
        encode = self._quantizer.get_signature_runner("encode")
        found = []
        for latent in latents:
            given = encode(input_frames=latent.reshape(1, 1, 64), num_quantizers=np.int32(46))
            (indices,) = (value for value in given.values() if value.shape == (46, 1, 1))
            found.append(indices.ravel().astype(np.int64))
        return latents.T, Codes.of(self.spec, list(np.array(found).T), audio.shape[1])

    def their_sound(self, codes: Codes) -> NDArray:
        decode = self._quantizer.get_signature_runner("decode")
        absent = ((0, 46 - len(codes.books)), (0, 0))  # -1 in the last books leaves them out
        indices = np.pad(np.asarray(codes).astype(np.int32), absent, constant_values=-1)
        frames = (frame.reshape(46, 1, 1) for frame in indices.T)
        latents = [decode(encoding_indices=frame)["output_0"].ravel() for frame in frames]
        return self._run("lyragan", np.array(latents)).reshape(1, -1)

    def _run(self, name: str, rows: NDArray) -> NDArray[np.float32]:
        interpreter = self.theirs(name)  # a new one, whose history is silence
        interpreter.allocate_tensors()
        (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
        given = []
        for row in rows:
            interpreter.set_tensor(source["index"], row.reshape(source["shape"]))
            interpreter.invoke()
            given.append(interpreter.get_tensor(target["index"]).ravel())
        return np.array(given)


Make = Callable[[str, int, Path], tuple[Any, Path]]
RANDOM: dict[str, tuple[type[Pair], Make]] = {
    **dict.fromkeys(peers.ENCODEC, (EncodecPair, peers.encodec_peer)),
    **dict.fromkeys(peers_dac.DAC, (DacPair, peers_dac.dac_peer)),
    **dict.fromkeys(peers_snac.SNAC, (SnacPair, peers_snac.snac_peer)),
    "mimi": (MimiPair, peers_mimi.mimi_peer),
}
"""All checkpoints with an upstream package that does not need the published weights."""

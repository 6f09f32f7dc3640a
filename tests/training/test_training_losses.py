"""What training begins with, random weights, and what it makes small, losses."""

from pathlib import Path
from typing import Any

import exact
import numpy as np
from runs import RATE


def test_random_weights_keep_levels_and_lose_nothing_to_random_books(torch: Any, sound: Path) -> None:
    from wavcodes import registry
    from wavcodes.engines.torch import apply
    from wavcodes.engines.torch_quantizers import quantize
    from wavcodes.training.corpus import Corpus
    from wavcodes.training.initial import initial

    corpus = Corpus(sound)
    clips = torch.from_numpy(np.stack([corpus.rows(each, 0, RATE) for each in corpus.training[:4]]))
    network = registry.checkpoint("wavcodes_16khz").network()
    tensors = initial(network, clips, 1)
    latent = apply(network.encoder, tensors, clips)
    assert 0.8 < float(latent.std()) < 1.25
    in_use = torch.arange(12) < torch.arange(13)[:, None]
    left = [
        float((latent - quantize(network.quantizer, tensors, latent, each.expand(4, -1)).rows).square().mean())
        for each in in_use
    ]
    assert left == sorted(left, reverse=True)
    assert left[-1] < 0.7 * left[0]
    made = apply(network.decoder, tensors, quantize(network.quantizer, tensors, latent).rows)
    assert 0.02 * float(clips.std()) < float(made.std()) < 0.5 * float(clips.std())


def test_spectra_and_their_gradients_are_those_of_pytorch(torch: Any) -> None:
    from wavcodes.training.losses import spectrum

    sound = torch.randn(2, 123, dtype=torch.float64, requires_grad=True)
    window = torch.hann_window(32, dtype=torch.float64)
    wanted = torch.stft(sound, 32, 8, 32, window * 8, center=False, return_complex=True).mT
    found = torch.complex(*spectrum(sound, window))
    torch.testing.assert_close(found, wanted)
    weights = torch.randn(wanted.shape, dtype=torch.complex128)
    gradients = [torch.autograd.grad((each * weights).real.sum(), sound)[0] for each in (found, wanted)]
    torch.testing.assert_close(*gradients)


def test_losses_are_zero_for_the_same_and_grow_with_noise(torch: Any) -> None:
    from wavcodes.training import losses

    spectra = losses.Spectra(RATE, torch.device("cpu"))
    sound = torch.from_numpy(np.stack([exact.signal(2 * RATE, seed) for seed in range(3)]))
    noise = torch.from_numpy(np.stack([exact.numbers(seed, 2 * RATE) for seed in range(3)]))
    kinds = {
        "mel": spectra.mel,
        "complex": spectra.complex,
        "waveform": losses.waveform,
        "similarity": lambda a, b: 1 - spectra.similarity(a, b),
    }
    for name, loss in kinds.items():
        values = [float(loss(sound + level * noise, sound)) for level in (0, 0.01, 0.1, 1)]
        assert abs(values[0]) < 1e-3, name
        assert values == sorted(values), name
        assert values[-1] > 0.2, name

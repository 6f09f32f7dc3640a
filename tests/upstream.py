"""The original packages of EnCodec and DAC, without what they import only to read, write and judge sound files."""

import importlib
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any


def meta_encodec(
    channels: int,
    num_filters: int,
    ratios: tuple[int, ...],
    num_codebooks: int,
    codebook_size: int,
    causal: bool,
    true_skip: bool,
    norm: str,
) -> Any:
    """An `encodec.EncodecModel`, in evaluation mode.

    Raises:
        ImportError: encodec is not installed.
    """
    with _stand_ins(torchaudio=ModuleType("torchaudio")):
        model, modules = importlib.import_module("encodec.model"), importlib.import_module("encodec.modules")
        arguments: dict[str, Any] = {
            "channels": channels,
            "n_filters": num_filters,
            "ratios": list(ratios),
            "causal": causal,
            "true_skip": true_skip,
            "norm": norm,
        }
        encoder, decoder = modules.SEANetEncoder(**arguments), modules.SEANetDecoder(**arguments)
        quantizer = model.qt.ResidualVectorQuantizer(encoder.dimension, n_q=num_codebooks, bins=codebook_size)
        return model.EncodecModel(encoder, decoder, quantizer, [], 24_000, channels).eval()


def meta_module(name: str) -> Any:
    """The module `name` of encodec, such as `compress`.

    Raises:
        ImportError: encodec is not installed.
    """
    with _stand_ins(torchaudio=ModuleType("torchaudio")):
        return importlib.import_module(f"encodec.{name}")


def descript_dac(**widths: Any) -> Any:
    """A `dac.DAC`, in evaluation mode, with these arguments for its constructor.

    Raises:
        ImportError: descript-audio-codec is not installed.
    """
    import torch

    found = PathFinder.find_spec("dac")
    if found is None or not found.submodule_search_locations:
        raise ImportError("descript-audio-codec is not installed")
    tools, ml = ModuleType("audiotools"), ModuleType("audiotools.ml")
    tools.AudioSignal, ml.BaseModel = object, torch.nn.Module  # type: ignore[attr-defined]
    stand_ins = {"audiotools": tools, "audiotools.ml": ml}
    for name in ("dac", "dac.nn", "dac.model"):  # without their __init__, which import losses and discriminators
        stand_ins[name] = ModuleType(name)
        stand_ins[name].__path__ = [found.submodule_search_locations[0] + name[3:].replace(".", "/")]
    with _stand_ins(**stand_ins):
        return importlib.import_module("dac.model.dac").DAC(**widths).eval()


@contextmanager
def _stand_ins(**modules: ModuleType) -> Iterator[None]:
    """Within it, `modules` can be imported; afterwards nobody finds them, for others ask what is installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both use what PyTorch now calls by other names
        sys.modules.update(modules)
        try:
            yield
        finally:
            for name in modules:
                del sys.modules[name]

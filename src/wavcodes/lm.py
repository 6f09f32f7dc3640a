"""The language models that Meta published beside EnCodec, for `.ecdc` files that are coded with one."""

import os
from dataclasses import replace

from . import registry
from .containers import LanguageModel
from .engines.torch_lm import LanguageModelShape, TorchLanguageModel, require_torch
from .errors import InputError
from .weights import locate


def language_model(name: str, weights: str | os.PathLike[str] | None = None) -> LanguageModel:
    """The language model of a codec: `wavcodes.read(path, language_model=wavcodes.language_model)`.

    docs/format-ecdc-lm.md says where files that are coded with it can be read.

    Args:
        name: `encodec_24khz` or `encodec_48khz`.
        weights: Where its weights are, if not where Meta published them: a file, a folder, or a hub repository
            (`owner/name` or `owner/name@revision`).

    Raises:
        InputError: There is no language model for a codec of that name.
        MissingProgram: PyTorch is not installed (an UnsupportedError).
        ModelError: The weights are missing, unreachable, of the wrong hash or of the wrong shapes.
    """
    entry = registry.checkpoint(name)
    if entry.language_model is None:
        having = [each for each in registry.list_codecs() if registry.checkpoint(each).language_model]
        raise InputError(f"expected a codec with a language model, {' or '.join(having)}, got {entry.spec.name}")
    require_torch()
    spec = entry.spec
    (located,) = locate(replace(spec, weights=entry.language_model), weights)
    return TorchLanguageModel(LanguageModelShape(spec.num_codebooks, spec.codebook_size, spec.frame_rate), located.path)

"""Where the weights of a provider come from: one config a family, and what a config means."""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from . import registry, weights
from .errors import FormatError, InputError, ResourceError, UnsupportedError
from .spec import CodecSpec, WeightFile, WeightSource

_LONGEST_CONFIG = 1 << 20  # bytes; the published ones have less than 2,000


@dataclass(frozen=True)
class ProviderConfig:
    """Where a provider's weights come from; use the class of a family, whose defaults are a published checkpoint.

    Attributes:
        repo_id: Hub repository. One that the registry does not know must hold a `config.json` like the published ones
            of the family; its weights are used as they are. For a published checkpoint that is in no repository, the
            name of the codec: `dac_44khz_16kbps`. It has one file of weights, and no revisions.
        revision: Branch, tag or commit. Left out: the pinned commit of a published checkpoint, whose SHA-256 is then
            checked; the default branch of another repository.
        weights_filename: File of weights in the repository.
        config_filename: File that says which network of the family the weights belong to; read only where the
            registry does not know the repository.
        cpu_only: Never use an accelerator. The native engine has none, so far, and runs on the CPU either way.
        cache_dir: Folder to use as the hub's cache instead of the usual one.
        family: Name of the family, such as `SNAC`.
    """

    family: ClassVar[str]
    repo_id: str
    revision: str | None = None
    weights_filename: str = "model.safetensors"
    config_filename: str = "config.json"
    cpu_only: bool = False
    cache_dir: str | os.PathLike[str] | None = None


@dataclass(frozen=True)
class EncodecConfig(ProviderConfig):
    """EnCodec; 24 kHz by default."""

    family: ClassVar[str] = "EnCodec"
    repo_id: str = "facebook/encodec_24khz"


@dataclass(frozen=True)
class DacConfig(ProviderConfig):
    """Descript Audio Codec; 44.1 kHz by default. `DacConfig("dac_44khz_16kbps")` is the one of twice the bandwidth."""

    family: ClassVar[str] = "DAC"
    repo_id: str = "descript/dac_44khz"


@dataclass(frozen=True)
class SnacConfig(ProviderConfig):
    """SNAC; 24 kHz by default."""

    family: ClassVar[str] = "SNAC"
    repo_id: str = "hubertsiuzdak/snac_24khz"
    weights_filename: str = "pytorch_model.bin"


@dataclass(frozen=True)
class MimiConfig(ProviderConfig):
    """Mimi, by Kyutai."""

    family: ClassVar[str] = "Mimi"
    repo_id: str = "kyutai/mimi"


def published(config: ProviderConfig) -> CodecSpec | None:
    """Facts of the published checkpoint that a config names, or None."""
    elsewhere = {spec.name: spec for spec in registry.family(config.family) if spec.weights.repo is None}
    return registry.published_in(config.repo_id) or elsewhere.get(config.repo_id)


def checkpoint_of(config: ProviderConfig) -> CodecSpec:
    """Facts of the codec that a config means; those of an unknown repository need its file `config_filename`.

    Raises:
        InputError: The repository holds a codec of another family, or there is none and a file or revision in it is
            named.
        DownloadError: The hub does not give the file.
        FormatError: It is no JSON object.
        UnsupportedError: It describes no network of the family that there is.
    """
    spec = published(config) or _described(config)
    if spec not in registry.family(config.family):
        raise InputError(f"{config.repo_id} holds {spec.name}; expected a codec of the family {config.family}")
    if spec == published(config) and spec.weights.repo is None:
        file = spec.weights.files[0].name
        if config.revision is not None or config.weights_filename not in (file, type(config).weights_filename):
            raise InputError(
                f"{spec.name} is in no repository and has the one file {file}; leave out revision and weights_filename"
            )
    return spec


def weights_of(config: ProviderConfig, spec: CodecSpec) -> Path:
    """The local file of weights of a config, fetched if it is not there yet.

    Raises:
        ModelError: The hub does not give it, or it is not the published one although it should be.
        ResourceError: It cannot be read or stored.
    """
    pinned, source = spec.weights, _named(config, config.weights_filename)
    chosen = config.revision in (None, pinned.revision) and config.weights_filename == pinned.files[0].name
    if spec == published(config) and (chosen or pinned.repo is None):
        source = pinned
    (located,) = weights.locate(replace(spec, weights=source), cache=config.cache_dir)
    return located.path


def _described(config: ProviderConfig) -> CodecSpec:
    """Which network of the family the weights of an unknown repository belong to, as its config says."""
    choices = registry.family(config.family)
    source = _named(config, config.config_filename)
    (located,) = weights.locate(replace(choices[0], weights=source), cache=config.cache_dir)
    facts = _read_config(located.path)
    rate, books = facts.get("sampling_rate"), facts.get("n_codebooks")
    for spec in choices:
        if spec.sample_rate == rate and books in (None, spec.num_codebooks):
            return spec
    known = ", ".join(f"{spec.name} ({spec.sample_rate} Hz, {spec.num_codebooks} codebooks)" for spec in choices)
    raise UnsupportedError(
        f"{config.repo_id} states sampling_rate {rate!r}"
        + (f" and n_codebooks {books!r}" if books is not None else "")
        + f" in {config.config_filename}; expected one of the family {config.family}: {known}"
    )


def _named(config: ProviderConfig, name: str) -> WeightSource:
    """A file of the config's repository, for whose content nobody vouches."""
    return WeightSource((WeightFile(name),), "not known", config.repo_id, config.revision or "main")


def _read_config(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            text = stream.read(_LONGEST_CONFIG + 1)
        facts = json.loads(text) if len(text) <= _LONGEST_CONFIG else None
    except OSError as error:
        raise ResourceError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"expected a JSON object in {path}: {error}") from error
    if not isinstance(facts, dict):
        raise FormatError(
            f"expected a JSON object of less than {_LONGEST_CONFIG:,} bytes in {path}, got something else"
        )
    return facts

"""The variables of the HERMES audio toolkit, as defaults of `wavcodes compress` and `decompress`."""

from __future__ import annotations

import os
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable
from typing import TypeVar

from .. import registry
from ..legacy import LegacyCodec, helper
from .arguments import kbps, threads
from .exits import CommandError

Value = TypeVar("Value")

_PUBLISHER = "hubertsiuzdak/"
_VARIANTS = {"24khz": 24_000, "32khz": 32_000, "44khz": 44_100}
_BITRATE = 1.5  # kbps
_ENCODEC_RATE = 24_000  # Hz of what ENCODEC_ENC takes


def fill(suffix: str, arguments: Namespace) -> None:
    """Sets the codec, bandwidth, weights and threads that no option names, for files of that suffix.

    Raises:
        CommandError: A variable has a value that it cannot have.
    """
    if arguments.threads is None:
        arguments.threads = _variable("TORCH_THREADS", threads)
    if arguments.codec is not None:
        return
    arguments.default_codec = _choose_snac(arguments) if suffix == ".snac" else registry.FOR_SUFFIX.get(suffix)
    if suffix == ".ecdc" and arguments.command == "compress" and arguments.bandwidth is None:
        arguments.bandwidth = _variable("ENCODEC_BITRATE", kbps) or _BITRATE


def scripts(suffix: str, variable: str, arguments: Namespace) -> LegacyCodec | None:
    """The codec whose scripts ENCODEC_ENC and ENCODEC_DEC name; None where `variable`, one of the two, is not set or
    such scripts do not serve that suffix.

    Raises:
        CommandError: A variable has a value that it cannot have.
    """
    if not os.environ.get(variable) or suffix not in (".ecdc", ".snac"):
        return None
    count = arguments.threads or _variable("TORCH_THREADS", threads) or 1
    if suffix == ".ecdc":
        bitrate = arguments.bandwidth or _variable("ENCODEC_BITRATE", kbps) or _BITRATE
        return helper("encodec", _ENCODEC_RATE, ["--bitrate", str(bitrate)], [], count)
    model, rate = _snac()
    rate = rate or _VARIANTS[_variant()]
    options = ["--snac-model", model, "--snac-sample-rate", str(rate)]
    return helper("snac", rate, options, options, count)


def passed_on(suffix: str, arguments: Namespace) -> set[str]:
    """Options that what ENCODEC_ENC names can follow: its `.ecdc` has a bandwidth, and one layout."""
    if suffix != ".ecdc":
        return set()
    return {"bandwidth", "format"} if arguments.format == "ecdc-hermes" else {"bandwidth"}


def _choose_snac(arguments: Namespace) -> str:
    model, rate = _snac()
    spec = registry.published_in(model)
    if spec is None:  # weights of somebody's own, in the shape of those that were published for this rate
        wanted = rate or _VARIANTS[_variant()]
        fitting = [each for each in registry.family("snac") if each.sample_rate == wanted]
        if not fitting:
            rates = ", ".join(str(each.sample_rate) for each in registry.family("snac"))
            raise CommandError(f"SNAC_SAMPLE_RATE: expected one of {rates}, the rates of SNAC, got {wanted}")
        spec = fitting[0]
        arguments.weights = arguments.weights or model
    elif rate not in (None, spec.sample_rate):
        raise CommandError(
            f"SNAC_SAMPLE_RATE: expected {spec.sample_rate}, the rate of SNAC_MODEL={model}, got {rate}; unset it"
        )
    return spec.name


def _snac() -> tuple[str, int | None]:
    """Repository of the model, and its rate if it is set."""
    variant = _variant()
    return os.environ.get("SNAC_MODEL") or f"{_PUBLISHER}snac_{variant}", _variable("SNAC_SAMPLE_RATE", _hertz)


def _variant() -> str:
    variant = os.environ.get("SNAC_VARIANT") or "24khz"
    if variant not in _VARIANTS:
        raise CommandError(f"SNAC_VARIANT: expected one of {', '.join(_VARIANTS)}, got {variant!r}")
    return variant


def _hertz(text: str) -> int:
    if text.isascii() and text.isdecimal() and int(text) > 0:
        return int(text)
    raise ArgumentTypeError(f"expected a sample rate in Hz such as 24000, got {text!r}")


def _variable(name: str, read: Callable[[str], Value]) -> Value | None:
    text = os.environ.get(name)
    try:
        return read(text) if text else None
    except (ArgumentTypeError, ValueError) as error:  # of int(): thousands of digits
        raise CommandError(f"{name}: {error}") from error

"""`CodecProvider`: a codec for asynchronous programs, loaded when it is first needed and unloaded on request.

    provider = CodecProvider(SnacConfig())
    tokens = await provider.encode_pcm(samples, 24_000)
    audio = await provider.decode_tokens(tokens, provider.num_codebooks)
    await provider.unload()

Nothing that takes long runs on the event loop.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .audio import BLOCK_SECONDS
from .codec import Codec, load
from .codes import Codes
from .errors import CodecError, EngineError, InputError, ResourceError, UnsupportedError
from .memory import give_back
from .provider_config import ProviderConfig, checkpoint_of, published, weights_of
from .spec import CodecSpec
from .values import as_array, whole_number

if TYPE_CHECKING:
    from concurrent.futures import Future

# asyncio is imported where it is used: with its sockets it would take longer to import than this package.

P = ParamSpec("P")
Result = TypeVar("Result")


class CodecProvider:
    """A codec that loads itself on first use, once, however many callers wait for it.

    Making one costs nothing: no file is touched. One provider may serve any number of tasks, threads and event loops.

    Args:
        config: One of `EncodecConfig`, `DacConfig`, `SnacConfig`, `MimiConfig`.
        threads: Cores that one call may use; all that this process may use if left out.

    Attributes:
        config: What it was made from.
        id: Family and repository, such as `snac:hubertsiuzdak/snac_24khz`; `dac:dac_44khz_16kbps` where there is none.
        provider_kind: Always `codec`.
    """

    provider_kind = "codec"

    def __init__(self, config: ProviderConfig, threads: int | None = None) -> None:
        self.config = config
        self.id = f"{config.family.lower()}:{config.repo_id}"
        self._threads = threads
        self._spec = published(config)
        self._lock = threading.Lock()
        self._model: _Model | None = None

    def __repr__(self) -> str:
        return f"CodecProvider({self.id}, {'loaded' if self.is_loaded else 'not loaded'})"

    @property
    def is_loaded(self) -> bool:
        """True once the weights are in memory, until `unload`."""
        model = self._model
        return model is not None and model.is_loaded

    @property
    def spec(self) -> CodecSpec:
        """Facts of the codec; those of a published checkpoint are known without loading it.

        Raises:
            InputError: It is another repository, which has not been loaded yet.
        """
        if self._spec is None:
            raise InputError(f"what {self.config.repo_id} holds is known once it is loaded; await load() first")
        return self._spec

    @property
    def sample_rate(self) -> int:
        """Hz of what is encoded and decoded; known when `spec` is."""
        return self.spec.sample_rate

    @property
    def num_codebooks(self) -> int:
        """Codebooks that `encode_pcm` uses, those of the codec's default bandwidth; known when `spec` is."""
        return self.spec.resolve_codebooks()

    async def load(self) -> None:
        """Fetches the weights if they are not on this machine, and reads them; nothing if that was done before.

        A caller who is cancelled stops waiting; the loading goes on, for others may be waiting for it.

        Raises:
            DownloadError: The hub does not give the files.
            ModelError: They are not the right ones, or hold no model of the family.
            ResourceError: They cannot be read or stored, or do not fit into memory.
        """
        async with self._use():
            pass

    async def unload(self) -> None:
        """Waits for the calls under way and gives the memory of the model back; a later call loads it again."""
        import asyncio

        with self._lock:
            model, self._model = self._model, None
        if model is not None:
            await asyncio.shield(asyncio.wrap_future(model.retire()))
            await asyncio.to_thread(model.close)

    async def encode_pcm(self, samples: ArrayLike, sample_rate: int) -> NDArray[np.uint32]:
        """Codes of a mono clip.

        Args:
            samples: `(N,)` floats in [-1, 1].
            sample_rate: Hz; must be that of the codec.

        Returns:
            uint32, flat and row-major: all of book 0, then all of book 1, and so on. Books of different strides differ
            in length.

        Raises:
            InputError: No samples, another rate, or no audio.
            EngineError: The computation failed.
            CodecError: As from `load`.
        """
        if not _length(samples):
            raise InputError("PCM input is empty")
        async with self._use() as model:
            rate = model.codec.spec.sample_rate
            if sample_rate != rate:
                raise InputError(f"expected sample rate {rate} Hz, got {sample_rate} Hz -- resample first")
            return await _encode(model, samples)

    async def decode_tokens(self, tokens: ArrayLike, num_codebooks: int) -> NDArray[np.float32]:
        """Audio of codes.

        Args:
            tokens: Integers, flat and row-major, as `encode_pcm` gives them; whole frames of every book.
            num_codebooks: How many books they are of; for a codec whose books differ in stride, all that it has.

        Returns:
            float32 `(N,)`: all samples of the frames, which may be more than had been encoded.

        Raises:
            InputError: No codes, codes out of range, or not as many as whole frames have.
            EngineError: The computation failed.
            CodecError: As from `load`.
        """
        if whole_number("num_codebooks", num_codebooks) <= 0:
            raise InputError("num_codebooks must be > 0")
        if not (count := _length(tokens)):
            raise InputError(
                f"tokens input is empty: token count 0 is not a positive multiple of num_codebooks {num_codebooks}"
            )
        async with self._use() as model:
            spec = model.codec.spec
            self._check_count(spec, count, num_codebooks)
            return await _decode(model, tokens, num_codebooks)

    def _check_count(self, spec: CodecSpec, count: int, num_codebooks: int) -> None:
        framing = spec.framing()
        if framing.cycle == 1:
            if count % num_codebooks:
                raise InputError(f"token count {count} is not a positive multiple of num_codebooks {num_codebooks}")
            if num_codebooks > spec.num_codebooks:
                raise InputError(f"expected num_codebooks of 1 to {spec.num_codebooks}, got {num_codebooks}")
        elif num_codebooks != spec.num_codebooks:
            raise InputError(f"expected num_codebooks {spec.num_codebooks} (from loaded model), got {num_codebooks}")
        elif count % framing.cycle_codes:
            raise InputError(
                f"token count {count} is not a positive multiple of the {self.config.family.upper()} multi-scale step "
                f"{framing.cycle_codes} (vq_strides = {list(spec.strides)}, lcm = {framing.cycle})"
            )

    @asynccontextmanager
    async def _use(self) -> AsyncIterator[_Model]:
        """The model, loaded if it is not yet, and kept until the block ends; all errors become those of the package."""
        import asyncio

        with self._lock:
            model = self._model
            if model is None or model.failed:
                model = self._model = _Model(self._read)
            model.enter()
        try:
            # Shielded, so that a caller who gives up does not cancel what others wait for.
            await asyncio.shield(asyncio.wrap_future(model.loading))
            try:
                yield model
            except BaseException as error:
                # Who keeps the error keeps the frames that it went through; these hold streams, which hold weights.
                traceback.clear_frames(error.__traceback__)
                raise
        except CodecError:
            raise
        except MemoryError as error:
            raise ResourceError(f"there is not enough memory for {self.id}") from error
        except Exception as error:
            raise EngineError(f"{self.id} failed: {type(error).__name__}: {error}") from error
        finally:
            model.leave()

    def _read(self) -> Codec:
        """The codec of the config, from the hub or its cache."""
        spec = checkpoint_of(self.config)
        if spec.channels != 1:
            raise UnsupportedError(f"a provider takes mono PCM, but {spec.name} has {spec.channels} channels; use load")
        self._spec = spec
        return load(spec.name, weights_of(self.config, spec), self._threads)


class _Model:
    """One loading of a codec, the threads that work with it, and how many calls use it."""

    def __init__(self, read: Callable[[], Codec]) -> None:
        from concurrent.futures import Future, ThreadPoolExecutor

        self._lock = threading.Lock()
        self._calls = 0
        self._idle: Future[None] = Future()
        self._retired = False
        self._executor = ThreadPoolExecutor(thread_name_prefix="wavcodes")  # its own: the program's may be busy
        self.loading = self._executor.submit(read)

    @property
    def is_loaded(self) -> bool:
        return self.loading.done() and self.loading.exception() is None

    @property
    def failed(self) -> bool:
        return self.loading.done() and self.loading.exception() is not None

    @property
    def codec(self) -> Codec:
        return self.loading.result()

    async def run(self, function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
        """What `function` gives, computed off the event loop."""
        import asyncio

        return await asyncio.wrap_future(self._executor.submit(function, *args, **kwargs))

    def enter(self) -> None:
        with self._lock:
            self._calls += 1

    def leave(self) -> None:
        with self._lock:
            self._calls -= 1
            self._settle()

    def retire(self) -> Future[None]:
        """Done as soon as no call uses the model; none may enter any more."""
        with self._lock:
            self._retired = True
            self._settle()
        return self._idle

    def _settle(self) -> None:
        if self._retired and not self._calls:
            self._idle.set_result(None)

    def close(self) -> None:
        """Frees the codec, once what cancelled calls left behind has been computed, and returns its memory."""
        from concurrent.futures import Future

        self._executor.shutdown()
        self.loading = Future()
        give_back()


# These two are functions of their own, without comprehensions, so that `_use` can clear all frames that hold a stream.


async def _encode(model: _Model, samples: ArrayLike) -> NDArray[np.uint32]:
    audio = await model.run(as_array, "samples", samples)  # of a list, that takes long
    if audio.ndim != 1:
        raise InputError(f"expected mono PCM of shape (samples,), got {audio.shape}")
    stream = model.codec.stream_encoder()
    block = BLOCK_SECONDS * model.codec.spec.sample_rate
    parts = []
    for first in range(0, len(audio), block):
        parts.append(await model.run(stream.push, audio[first : first + block]))
    parts.append(await model.run(stream.flush))
    return Codes.concat(parts).to_flat()


async def _decode(model: _Model, tokens: ArrayLike, num_codebooks: int) -> NDArray[np.float32]:
    codes = await model.run(Codes.from_flat, tokens, model.codec.spec, num_codebooks)
    stream = model.codec.stream_decoder()
    parts = []
    for part in codes.blocks(BLOCK_SECONDS):
        parts.append(await model.run(stream.push, part))
    parts.append(await model.run(stream.flush))
    audio: NDArray[np.float32] = np.concatenate(parts, axis=1)[0]
    return audio


def _length(values: ArrayLike) -> int:
    """What `len` says: a list is not converted for it on the event loop."""
    try:
        return len(values)  # type: ignore[arg-type]
    except TypeError:
        raise InputError(f"expected a sequence, got {type(values).__name__}") from None

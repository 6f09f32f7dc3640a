"""Files that no model hub serves: over HTTPS into a cache folder, so that a file there is always a whole file."""

import hashlib
import http.client
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from ..errors import DownloadError, InputError, IntegrityError, ModelError, ResourceError
from ..files import atomic_output, write_all
from ..spec import WeightFile
from .hub import offline

_TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 1 << 18  # bytes
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def cache_folder() -> Path:
    """`WAVCODES_CACHE`, or `wavcodes` in the platform's folder for caches.

    Raises:
        ResourceError: The user has no home folder.
    """
    if chosen := os.environ.get("WAVCODES_CACHE"):
        return Path(chosen)
    try:
        if sys.platform == "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "wavcodes"
        if sys.platform == "darwin":
            return Path.home() / "Library/Caches/wavcodes"
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wavcodes"
    except RuntimeError as error:
        raise ResourceError("expected a home folder for the cache, got none; set WAVCODES_CACHE to a folder") from error


def download(file: WeightFile, target: Path) -> None:
    """Fetches `file.url` to `target`, which appears whole and verified or not at all.

    Any number of processes may do this at once. `WAVCODES_MIRROR` replaces the scheme and host of the address.

    Raises:
        IntegrityError: What came has not the length or SHA-256 that `file` or the server states.
        DownloadError: The network is not allowed or not there, or the server refuses.
        ModelError: There is no address, or it is not HTTPS.
        ResourceError: The cache folder cannot be written.
    """
    url = _address(file)
    hasher = hashlib.sha256()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_output(target) as out:
            for piece in _pieces(url, file.size):
                hasher.update(piece)
                write_all(out, piece)
            file.check(hasher.hexdigest(), url)
    except (OSError, InputError, ResourceError) as error:
        raise ResourceError(
            f"cannot keep {target.name}: {error}; free space, or set WAVCODES_CACHE to another folder"
        ) from error


def _pieces(url: str, size: int | None) -> Iterator[bytes]:
    """The body of `url`; raises no OSError, so that one of those is about the disk."""
    request = urllib.request.Request(url, headers={"User-Agent": "wavcodes"})
    received = 0
    try:
        with urllib.request.build_opener(_Redirects).open(request, timeout=_TIMEOUT) as response:
            expected: int | None = response.length if size is None else size
            while piece := _read(response):
                received += len(piece)
                if expected is not None and received > expected:
                    raise IntegrityError(f"expected {expected:,} bytes from {url}, got more")
                yield piece
    except urllib.error.HTTPError as error:
        error.close()  # it is the response as well
        raise _failed(url, f"the server answered {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _failed(url, str(error.reason)) from error
    except (OSError, ValueError, http.client.HTTPException) as error:  # a host that is no name is a UnicodeError
        raise _failed(url, str(error) or type(error).__name__) from error
    if expected is not None and received < expected:
        raise IntegrityError(f"expected {expected:,} bytes from {url}, got {received:,}")


def _failed(url: str, why: str) -> DownloadError:
    return DownloadError(
        f"cannot fetch {url}: {why}; try again while online, or name a folder with the files as the weights"
    )


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(_CHUNK)
    except http.client.IncompleteRead as error:  # some versions of Python report an early end, others return what came
        return error.partial


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        try:
            _require_https(newurl)
        except ModelError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _address(file: WeightFile) -> str:
    if file.url is None:
        raise ModelError(f"{file.name} has no address; name a folder with the files as the weights")
    if offline():
        raise _failed(file.url, "HF_HUB_OFFLINE forbids the network")
    mirror = os.environ.get("WAVCODES_MIRROR")
    url = mirror.rstrip("/") + urlsplit(file.url).path if mirror else file.url
    _require_https(url)
    return url


def _require_https(url: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ModelError(f"expected an https address for weights, got {url}: {error}") from error
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ModelError(f"expected an https address for weights, got {url}; nothing is fetched in the clear")

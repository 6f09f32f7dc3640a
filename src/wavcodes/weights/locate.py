"""Where the weights of a codec lie on this machine: in the package, in a cache (filled on demand), or where told."""

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import IntegrityError, ModelError, ResourceError
from ..spec import CodecSpec, WeightFile
from . import hub

_HUB_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?", re.ASCII)


@dataclass(frozen=True)
class Located:
    """One local file of weights; `verified` is True if its SHA-256 is the one that the registry pins."""

    path: Path
    verified: bool


def locate(
    spec: CodecSpec, weights: str | os.PathLike[str] | None = None, cache: str | os.PathLike[str] | None = None
) -> tuple[Located, ...]:
    """Local paths of the files of `spec.weights`, in their order; fetched if they are not there yet.

    Args:
        spec: The codec.
        weights: None for the published weights, whose SHA-256 is checked every time; a file (codecs of one file), a
            folder with files of the published names, or a hub repository `owner/name` or `owner/name@revision`, which
            are used as they are. What exists on this machine goes before a repository of the same name.
        cache: Folder to use as the cache instead of the usual ones.

    Raises:
        ModelError: A file is not there, cannot be fetched (then a DownloadError), or twice has another SHA-256 than it
            should.
        ResourceError: A file cannot be read or a cache cannot be written.
    """
    source = spec.weights
    if weights is None:
        return tuple(_published(spec, file, cache) for file in source.files)
    if os.path.exists(weights):  # False, not an exception, for a path that nobody may look at
        return tuple(Located(path, verified=False) for path in _local(spec, Path(weights)))
    match = _HUB_ID.fullmatch(weights) if isinstance(weights, str) else None
    if match is None:
        raise ModelError(
            f"expected the weights of {spec.name} as a file, a folder or a hub repository (owner/name), "
            f"got {os.fspath(weights)!r}, which does not exist; leave weights out for the published ones"
        )
    repo, revision = match["repo"], match["revision"] or "main"
    paths = (hub.fetch(spec.name, repo, revision, file.name, cache=cache) for file in source.files)
    return tuple(Located(path, verified=False) for path in paths)


def _local(spec: CodecSpec, path: Path) -> list[Path]:
    names = [file.name for file in spec.weights.files]
    if not path.is_dir():
        if len(names) > 1:
            raise ModelError(f"expected a folder with {', '.join(names)} for {spec.name}, got the file {path}")
        return [path]
    missing = [name for name in names if not os.path.isfile(path / name)]
    if missing:
        remedy = "name the folder, file or hub repository that has the weights"
        raise ModelError(
            f"expected the weights of {spec.name}, but the folder {path} lacks {', '.join(missing)}; {remedy}"
        )
    return [path / name for name in names]


def _published(spec: CodecSpec, file: WeightFile, cache: str | os.PathLike[str] | None) -> Located:
    source = spec.weights
    if source.packaged:
        return _packaged(file)
    if file.url is not None:
        return _fetched(file, lambda again: _cached(spec.name, file, again, cache))
    repo, revision = source.repo, source.revision
    if repo is None or revision is None:
        raise ModelError(
            f"{file.name} of {spec.name} is not published for download; name a folder with it as the weights"
        )
    return _fetched(file, lambda again: _checked(file, hub.fetch(spec.name, repo, revision, file.name, again, cache)))


def _packaged(file: WeightFile) -> Located:
    from importlib import resources  # here, because it takes long to import

    path = Path(str(resources.files("wavcodes") / "data" / file.name))
    try:
        return Located(_checked(file, path), verified=True)
    except (IntegrityError, ResourceError) as error:
        raise ModelError(f"the installed package is damaged: {error}; install wavcodes again") from error


def _fetched(file: WeightFile, fetch: Callable[[bool], Path]) -> Located:
    """What `fetch(again)` gives; where that is not the pinned content, it is fetched again once."""
    try:
        path = fetch(False)
    except IntegrityError as first:
        try:
            path = fetch(True)
        except IntegrityError as second:
            raise ModelError(f"{second}, twice in a row; name a folder with the right files as the weights") from second
        except ModelError as second:
            raise ModelError(f"{first}; {second}") from second
    return Located(path, verified=file.pinned)


def _cached(codec: str, file: WeightFile, again: bool, cache: str | os.PathLike[str] | None) -> Path:
    from .download import cache_folder, download  # here, because a client for HTTPS takes long to import

    target = (Path(cache) if cache else cache_folder()) / codec / file.name
    if not again and os.path.isfile(target):
        return _checked(file, target)
    download(file, target)
    return target


def _checked(file: WeightFile, path: Path) -> Path:
    if file.sha256 is None:
        return path
    hasher = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while piece := stream.read(1 << 20):
                hasher.update(piece)
    except OSError as error:
        raise ResourceError(f"cannot read the weights {path}: {error.strerror or error}") from error
    file.check(hasher.hexdigest(), path)
    return path

"""One file from a model hub, through `huggingface_hub`: its cache, its environment variables, our errors."""

import os
from pathlib import Path

from ..errors import CodecError, DownloadError, ResourceError


def offline() -> bool:
    """True if `HF_HUB_OFFLINE` forbids the network; read as the hub's own library reads it."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def fetch(
    codec: str, repo: str, revision: str, name: str, again: bool = False, cache: str | os.PathLike[str] | None = None
) -> Path:
    """Local path of `name` in `repo` at `revision`, from the hub's cache or over the network.

    `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE` mean what they mean for any user of the
    hub; its library reads them when it is first imported.

    Args:
        codec: For the message of an error.
        repo: Repository, `owner/name`.
        revision: Commit, branch or tag.
        name: File name inside the repository.
        again: True fetches it even if it is in the cache.
        cache: Folder to use as the hub's cache instead of the usual one.

    Raises:
        DownloadError: The hub cannot be reached, refuses, or has no such file.
        ResourceError: The cache cannot be written.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache

    folder = None if cache is None else Path(cache)
    try:
        if again or try_to_load_from_cache(repo, name, cache_dir=folder, revision=revision) is None:
            # Without a network this fails at once, where the other tries for half a minute, and tells its log.
            get_hf_file_metadata(hf_hub_url(repo, name, revision=revision))
        return Path(hf_hub_download(repo, name, revision=revision, cache_dir=folder, force_download=again))
    except Exception as error:  # those of its HTTP library differ from version to version
        raise _translated(error, f"{name} of {repo}@{revision} for {codec}", codec) from error


def _translated(error: Exception, wanted: str, codec: str) -> CodecError:
    from huggingface_hub import errors

    if isinstance(error, OSError) and error.errno is not None:  # of the disk; the hub's own have no number
        remedy = "free space, or set HF_HOME to another folder"
        return ResourceError(f"cannot store {wanted}: {error.strerror or error}; {remedy}")
    remedy = f"try again while online (`wavcodes download {codec}` for the published weights)"
    if offline():
        why = "it is not in the hub's cache, and HF_HUB_OFFLINE forbids the network"
    elif isinstance(error, errors.GatedRepoError):
        why, remedy = "its owner asks for consent", "accept the terms on the page of the repository and set HF_TOKEN"
    elif isinstance(error, errors.RepositoryNotFoundError):
        why = "the hub has no such repository (nor is there such a local path), or it is private"
        remedy = "check the name, set HF_TOKEN"
    elif isinstance(error, errors.RevisionNotFoundError):
        why, remedy = "the repository has no such revision", "name another"
    elif isinstance(error, errors.EntryNotFoundError) and not isinstance(error, errors.LocalEntryNotFoundError):
        why, remedy = "the repository has no such file", "name another"
    else:
        cause = error.__cause__ or error  # the hub's library wraps what happened in general advice
        why = (str(cause) or type(cause).__name__).strip().splitlines()[0]
    return DownloadError(f"cannot fetch {wanted}: {why}; {remedy}, or name a folder with the files as the weights")

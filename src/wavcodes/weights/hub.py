"""One file from a model hub, through `huggingface_hub`: its cache, its environment variables, our errors."""

from pathlib import Path

from ..errors import ModelError, ResourceError
from .download import offline


def fetch(codec: str, repo: str, revision: str, name: str, force: bool = False) -> Path:
    """Local path of `name` in `repo` at `revision`, from the hub's cache or over the network.

    `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE` mean what they mean for any user of the
    hub; its library reads them when it is first imported.

    Raises:
        ModelError: The hub cannot be reached, refuses, or has no such file.
        ResourceError: The cache cannot be written.
    """
    from huggingface_hub import errors, hf_hub_download

    wanted = f"{name} of {repo}@{revision} for {codec}"
    elsewhere = "or pass weights=FOLDER with the files"
    try:
        return Path(hf_hub_download(repo, name, revision=revision, force_download=force))
    except errors.GatedRepoError as error:
        remedy = f"its owner grants access one by one: accept the terms on the page of {repo} and set HF_TOKEN"
        raise ModelError(f"cannot fetch {wanted}: {remedy}, {elsewhere}") from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"cannot fetch {wanted}: the hub has no such repository (and {repo} is no local path), or it is private and "
            f"HF_TOKEN is missing or wrong; check the name, {elsewhere}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(f"cannot fetch {wanted}: the repository has no such revision; name another") from error
    except errors.LocalEntryNotFoundError as error:
        why = "HF_HUB_OFFLINE forbids the network" if offline() else f"the hub gave no answer ({_first_line(error)})"
        raise ModelError(
            f"cannot fetch {wanted}, which is not in the cache: {why}; "
            f"run `wavcodes download {codec}` while online, {elsewhere}"
        ) from error
    except errors.EntryNotFoundError as error:
        raise ModelError(
            f"cannot fetch {wanted}: the repository has no such file; name another, {elsewhere}"
        ) from error
    except OSError as error:
        if error.errno is None:  # the hub's own errors, not the disk's
            raise ModelError(f"cannot fetch {wanted}: {_first_line(error)}; try again, {elsewhere}") from error
        raise ResourceError(
            f"cannot store {wanted}: {error.strerror or error}; free space, or set HF_HOME to another folder"
        ) from error
    except Exception as error:  # of its HTTP library, which differs from version to version
        raise ModelError(f"cannot fetch {wanted}: {_first_line(error)}; try again, {elsewhere}") from error


def _first_line(error: Exception) -> str:
    cause = error.__cause__ or error
    return (str(cause) or type(cause).__name__).strip().splitlines()[0]

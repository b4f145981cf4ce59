"""A network's folder by its name on the Hugging Face hub: downloaded once, verified, taken from the cache afterwards.

`huggingface_hub` does it, with its cache, its token, and its variables: `HF_ENDPOINT` for another server,
`HF_HUB_OFFLINE=1` for none.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from segtween.adapters import need
from segtween.errors import ModelError, one_line
from segtween.models.weights import sha256_of

EXTRA = "huggingface"
MERGES = "merges.txt"
WANTED = ("*.json", MERGES, "*.safetensors", "pytorch_model*.bin")
_NAME = re.compile(r"(?P<name>[\w.-]+(/[\w.-]+)?)(@(?P<revision>[\w./-]+))?")


def folder_of(name: str) -> Path:
    """The folder of a network: `name` itself if it is one, else that of `NAME` or `NAME@REVISION` on the hub.

    Raises ModelError: no such folder or name, no access, hub unreachable, files that are not what the hub says;
    MissingExtraError.
    """
    if is_folder(name):
        return Path(name)
    found = _NAME.fullmatch(name)
    if found is None or name.startswith("."):
        raise ModelError(f"hf:{name[:200]} is not found", expected="a folder, or a name such as hf:owner/network",
                         do="check the path")  # fmt: skip
    need(("huggingface_hub",), f"hf:{name}", extra=EXTRA)
    folder = _downloaded(found["name"], found["revision"])
    for path in sorted(folder.glob("*")):
        _verify(path, name)
    return folder


def is_folder(name: str) -> bool:
    """False too for what no file system takes as a name."""
    try:
        return bool(name) and Path(name).is_dir()
    except (OSError, ValueError):
        return False


def _downloaded(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    endpoint = os.environ.get("HF_ENDPOINT")
    with _refused(name):
        patterns = list(WANTED)
        path = Path(snapshot_download(name, revision=revision, endpoint=endpoint, allow_patterns=patterns[:-1]))
        if not any(path.glob("*.safetensors")):
            path = Path(snapshot_download(name, revision=revision, endpoint=endpoint, allow_patterns=patterns))
    return path


@contextmanager
def _refused(name: str) -> Iterator[None]:
    """The hub's errors as one line."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError:
        problem = "may be had only by those who were given access", "a login", "run `hf auth login`, or give a folder"
    except errors.RepositoryNotFoundError:
        problem = "is not on the hub, or is private", "the name of a network there", "check the name, or give a folder"
    except errors.RevisionNotFoundError:
        problem = "has no such revision", "a branch, tag or commit", "check what follows @"
    except errors.HFValidationError as error:
        problem = f"is no name ({error})", "owner/network", "check the name"
    except (errors.LocalEntryNotFoundError, errors.HfHubHTTPError, OSError, ValueError) as error:
        why, do = _reason(error)
        what = f"cannot be had from the hub, and is not in its cache ({why})"
        problem = what, "a network connection, or a network that was downloaded before", do
    except Exception as error:  # of the HTTP library, which is not ours to name
        what = f"cannot be had from the hub ({type(error).__name__}: {error})"
        problem = what, "an answer of the hub", "check HF_ENDPOINT and the connection, and try again"
    else:
        return
    raise ModelError(f"hf:{name} {problem[0]}", expected=problem[1], do=problem[2])


def _reason(error: Exception) -> tuple[str, str]:
    """Why a network cannot be had, and what to do. What `huggingface_hub` raises may be around what happened."""
    cause = error.__cause__ or error
    status = getattr(getattr(cause, "response", None), "status_code", None)
    if status in (401, 403):
        return f"the hub refuses it with status {status}", "run `hf auth login` with a token for it, or give a folder"
    if status is not None:
        return f"the hub answers with status {status}", "check the name, try again later, or give a folder"
    offline = os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")
    why = "HF_HUB_OFFLINE is set" if offline else one_line(cause)
    return why, "connect, set HF_ENDPOINT to a server that can be reached, or give a folder"


def _verify(path: Path, name: str) -> None:
    """A file of the hub's cache has its hash as its name: SHA-256 of large files, git's SHA-1 of others."""
    blob = path.resolve()
    if not path.is_file() or blob.parent.name != "blobs":
        return
    if len(blob.name) == 64:
        found = sha256_of(blob)
    elif len(blob.name) == 40:
        content = blob.read_bytes()
        found = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    else:
        return
    if found != blob.name:
        raise ModelError(
            f"{path.name} of hf:{name} has hash {found[:12]}...",
            expected=f"{blob.name[:12]}... as the hub says",
            do=f"delete {blob} and load it again",
        )

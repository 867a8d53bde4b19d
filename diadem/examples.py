"""Real files of instruments to try things with: fetched when they are asked for, each held against its digest.

>>> from diadem import examples
>>> package = diadem.pack(examples.fetch("EELS_SI.dm4"), "archive")  # doctest: +SKIP
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from diadem.errors import DigestMismatch, NotFound, Unreachable, UsageError
from diadem.model.display import Display, FixedRows
from diadem.store.system import store_error

__all__ = ["Example", "fetch", "ls"]

#: Where files are looked for instead, such as a copy on a machine without a network.
VARIABLE: Final = "DIADEM_EXAMPLES"
#: Seconds without a byte after which an address does not answer.
_PATIENCE: Final = 30


@dataclass(frozen=True, slots=True)
class Example(Display):
    """A file that can be fetched.

    Attributes
    ----------
    name : str
        What `fetch` takes.
    about : str
        What it holds.
    bytes : int
        Its size, with the files that belong to it.
    licence : str
        SPDX identifier.
    source : str
        Who publishes it.
    """

    name: str
    about: str
    bytes: int
    licence: str
    source: str

    def to_dict(self) -> dict[str, Any]:
        """A JSON object with every attribute."""
        return {name: getattr(self, name) for name in self.__slots__}

    def fetch(self, folder: str | os.PathLike[str] | None = None) -> Path:
        """The same as `diadem.examples.fetch` of its name."""
        return fetch(self.name, folder)


def ls() -> Sequence[Example]:
    """What can be fetched."""
    known = _registry()
    return FixedRows(
        Example(name, one["about"], sum(part["bytes"] for part in _parts(one)), known["licence"], known["source"])
        for name, one in known["files"].items()
    )


def fetch(name: str, folder: str | os.PathLike[str] | None = None, *, base: str | None = None) -> Path:
    """A file on this machine, with the files that belong to it beside it; fetched if it is not there yet.

    Parameters
    ----------
    name : str
        Of `ls`.
    folder : path, optional
        Where it shall lie; by default where pooch caches.
    base : str, optional
        Address of the folder that has the files; by default the variable ``DIADEM_EXAMPLES``, else their publisher's.

    Returns
    -------
    Path
        The file; every byte is the one that is meant.

    Raises
    ------
    NotFound
        There is no such example.
    UsageError
        pooch is not installed.
    Unreachable
        The address does not answer, or has no such file.
    DigestMismatch
        What came is another file. Nothing of it is kept.
    StoreError
        The folder cannot be written to.
    """
    try:
        import pooch
    except ModuleNotFoundError as error:
        raise UsageError(
            "examples are fetched by pooch, which is not installed", next='pip install "diadem-em[notebook]"'
        ) from error
    known = _registry()
    if name not in known["files"]:
        near = get_close_matches(name, known["files"], n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise NotFound(f"there is no example {name!r}", next=f"{hint}diadem.examples.ls() lists them.")
    parts = {part["path"]: f"sha256:{part['sha256']}" for part in _parts(known["files"][name])}
    source = (base or os.environ.get(VARIABLE) or known["base"]).rstrip("/") + "/"
    place = Path(folder) if folder is not None else Path(pooch.os_cache("diadem")) / "examples"
    fetcher = pooch.create(path=place, base_url=source, registry=parts)
    pooch.get_logger().setLevel("WARNING")
    first, *_ = [_fetched(fetcher, path) for path in parts]
    return first


def _fetched(fetcher: Any, path: str) -> Path:
    """One file by pooch, whose errors are those of the network, of the disk, and one for another digest."""
    from requests import RequestException

    where = fetcher.get_url(path)
    try:
        return Path(fetcher.fetch(path, downloader=_download))
    except ValueError as error:
        raise DigestMismatch(
            "what arrived is not the expected file", where=where, next="Ask for it again, or from another address."
        ) from error
    except RequestException as error:
        raise Unreachable(
            f"the example could not be fetched ({type(error).__name__})",
            where=where,
            next=f"Without a network: a copy of the files, its address in {VARIABLE}.",
        ) from error
    except OSError as error:
        raise store_error(error, str(fetcher.path), "") from error


def _download(url: str, target: str, _: Any) -> None:
    """Fetch a file as pooch wants it; its own way leaves the connection open after an error."""
    import requests

    with requests.get(url, stream=True, timeout=_PATIENCE) as answer, Path(target).open("wb") as sink:
        answer.raise_for_status()
        for part in answer.iter_content(1 << 20):
            sink.write(part)


def _parts(one: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield one
    yield from one.get("with", ())


@cache
def _registry() -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath("examples.toml").read_text("utf-8"))

"""Where a store or a package lies: a folder of this machine, or an address of an object store."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import urlsplit

from diadem.errors import UsageError
from diadem.model.system_paths import folder_of_url

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
#: ``host:/folder``; one letter before the colon is a drive of Windows.
_COPY_ADDRESS = re.compile(r"([^:/\\\\]{2,}):(.*)", re.DOTALL)
_ALIASES = {"s3a": "s3", "ssh": "sftp"}
#: Schemes that are known not to be places for packages, and what to do instead.
_NOT_STORES = {
    "http": "Download the package first.",
    "https": "For an S3 server write s3://bucket/prefix and set AWS_ENDPOINT_URL to its address.",
}

#: Storage options that say where a server is and how it is spoken to. Any other may be a key or a password.
_NO_SECRETS = frozenset({
    "account_name", "addressing_style", "anon", "client_kwargs", "config_kwargs", "connect_timeout", "endpoint_url",
    "host", "key_filename", "known_hosts", "port", "profile", "project", "read_timeout", "region_name",
    "requester_pays", "s3", "signature_version", "timeout", "use_ssl", "user", "username", "verify",
})  # fmt: skip

_SECRETS = {
    "s3": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a profile.",
    "sftp": "Use an SSH key, or the storage option 'password'.",
}


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """A parsed address."""

    #: A folder, or what is reached through fsspec.
    kind: Literal["local", "object"]
    scheme: str
    #: The folder as the system writes it, or ``bucket/prefix`` without a slash at either end.
    path: str

    @property
    def text(self) -> str:
        """The address as it is shown: a plain path, or ``scheme://path``."""
        return self.path if self.kind == "local" else f"{self.scheme}://{self.path}"

    @property
    def root(self) -> str:
        """The path on its file system: the same, without a server's name."""
        return f"/{self.path.partition('/')[2]}" if self.scheme == "sftp" else self.path

    @property
    def server(self) -> dict[str, Any]:
        """Host, port and user name, as far as an address of SFTP names them."""
        parts = urlsplit(self.text)
        named = {"host": parts.hostname or "", "port": parts.port, "username": parts.username}
        return {name: value for name, value in named.items() if value is not None}


def parse(address: str) -> StoreUrl:
    r"""Tell folders (``/data``, ``D:\data``, ``\\nas\share``, ``file:///…``) from what fsspec understands.

    Raises `UsageError` for an address that cannot hold packages, or that carries a password.
    """
    match = _SCHEME.match(address)
    if match is None or len(match.group(1)) == 1:
        return StoreUrl("local", "file", address)
    scheme = match.group(1).lower()
    if scheme == "file":
        return StoreUrl("local", "file", folder_of_url(address))
    if scheme in _NOT_STORES:
        raise UsageError(f"{scheme}:// is not a store", where=address, next=_NOT_STORES[scheme])
    scheme = _ALIASES.get(scheme, scheme)
    return StoreUrl("object", scheme, _object_path(address, address[match.end() :], scheme))


def refuse_copy_address(address: str) -> None:
    """Refuse ``host:/folder``, as `scp` and `rsync` write servers: it would be a new folder called ``host:`` here."""
    match = _COPY_ADDRESS.match(address)
    if match is None or _SCHEME.match(address) or os.path.lexists(address):
        return
    host, path = match.groups()
    known = host.lower() in {"s3", "s3a", "sftp", "ssh", "file", "memory"}
    meant = f"{host.lower() if known else f'sftp://{host}'}{':/' if known else ''}/{path.lstrip('/')}"
    raise UsageError(
        "this is not the address of a store",
        where=address,
        next=f"Write {meant}   (a folder whose name has a colon: ./{address})",
    )


def local_path(address: str | os.PathLike[str]) -> Path | None:
    """The folder that an address names, or None for an object store."""
    place = parse(os.fspath(address))
    return Path(place.path) if place.kind == "local" else None


def file_around(place: Path) -> Path | None:
    """The ZIP or TAR in which something lies that is named as if it were in a folder; None where it is in none."""
    return next((one for one in (place, *place.parents) if one.is_file()), None)


def without_secrets(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Of storage options what other processes may be told: keys and passwords they have of their own, or have not."""
    return {
        name: without_secrets(value) if isinstance(value, Mapping) else value
        for name, value in (options or {}).items()
        if name in _NO_SECRETS and not (isinstance(value, str) and "://" in value and "@" in value)
    }


def _object_path(address: str, path: str, scheme: str) -> str:
    user, at, _ = path.split("/", 1)[0].rpartition("@")
    if at and (scheme == "s3" or ":" in user):
        raise UsageError(
            "an address must not carry a password: it would appear in logs and pages",
            next=_SECRETS.get(scheme, "Give it as a storage option."),
        )
    if "::" in path:
        raise UsageError("chained addresses are not stores", where=address, next="Name one place.")
    parts = PurePosixPath(path.strip("/")).parts
    if ".." in parts:
        raise UsageError("an address must not climb with ..", where=address, next="Write the place itself.")
    if scheme == "sftp":
        _check_sftp(address, parts)
    if scheme == "s3" and not parts:
        raise UsageError("the address names no bucket", where=address, next="Write s3://bucket or s3://bucket/prefix.")
    return "/".join(parts)


def _check_sftp(address: str, parts: tuple[str, ...]) -> None:
    try:
        host = urlsplit(address).hostname if parts and urlsplit(address).port != 0 else None
    except ValueError:
        host = None
    if not host or len(parts) < 2:
        advice = "Write sftp://user@host/folder, the folder from the root of the server's files."
        raise UsageError("the address names no folder of a server", where=address, next=advice)

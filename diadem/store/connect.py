"""Opening an object store: the file system that fsspec makes of an address, with one set of retries and time-outs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diadem.errors import UsageError
from diadem.store.addresses import StoreUrl
from diadem.store.client import ObjectClient
from diadem.store.plain import PlainClient
from diadem.store.retry import Patience
from diadem.store.s3 import S3Client, S3Server

_EXTRAS = {"s3": "s3", "sftp": "sftp", "ssh": "sftp"}


def file_system(url: StoreUrl, storage_options: Mapping[str, Any] | None = None) -> Any:
    """The fsspec file system of an address.

    The options are fsspec's (for S3: ``key``, ``secret``, ``endpoint_url`` …). Without them the ordinary configuration
    counts: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_PROFILE, ``~/.aws``, fsspec's own files. Raises `UsageError` if
    fsspec does not know the scheme, or its package is not installed.
    """
    import fsspec
    import fsspec.config

    options = dict(storage_options or {})
    try:
        if url.scheme == "s3":
            import botocore  # noqa: F401

            return S3Server(**{**fsspec.config.conf.get("s3", {}), **options})
        kind = fsspec.get_filesystem_class(url.scheme)
    except ImportError as error:
        extra = _EXTRAS.get(url.scheme)
        advice = f"Install it: pip install 'diadem-em[{extra}]'." if extra else f"fsspec says: {error}."
        raise UsageError(f"{url.scheme}:// needs a package that is missing", where=url.text, next=advice) from error
    except ValueError as error:
        raise UsageError(
            f"{url.scheme}:// is not known", where=url.text, next="Use a path, s3://, or another fsspec address."
        ) from error
    if url.scheme == "sftp":
        from diadem.store.sftp import SftpFiles

        return SftpFiles(**{**url.server, **options})
    return kind(**options)


def client_for(file_system: Any, root: str, patience: Patience | None = None) -> ObjectClient:
    """Requests to the folder or prefix `root` of a file system."""
    protocols = file_system.protocol
    names = (protocols,) if isinstance(protocols, str) else tuple(protocols)
    patience = patience or Patience()
    if "s3" in names:
        return S3Client(file_system, root, patience)
    if "sftp" in names:
        from diadem.store.sftp import SftpClient

        return SftpClient(file_system, root, patience)
    return PlainClient(file_system, root, patience)

"""Addresses of stores, and what errors of file systems mean."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from diadem.errors import DiademError, NotFound, Refused, StoreError, Unreachable, UsageError
from diadem.store.addresses import local_path, parse, without_secrets
from diadem.store.retry import Occupied, is_transient, translate


@pytest.mark.parametrize("text", ["/data/em", "em", "D:\\em", "D:/em", "//nas/em", "\\\\nas\\em", "a:b", "./s3:/x"])
def test_paths_are_local(text: str) -> None:
    """Whatever has no scheme of two letters or more is a path, unchanged."""
    assert (parse(text).kind, parse(text).path) == ("local", text)
    assert local_path(text) == Path(text)


def test_file_urls() -> None:
    """file:// is a path, with its percent signs resolved."""
    assert parse("file:///data/a%20b").kind == "local"
    assert local_path("file:///data/a%20b") == Path("/data/a b")
    assert local_path("file://localhost/data") == Path("/data")


@pytest.mark.skipif(os.name == "nt", reason="Windows reads shares by their names")
def test_a_file_url_that_names_a_server_is_refused() -> None:
    """It would be a new folder of this machine."""
    with pytest.raises(UsageError, match="names a server"):
        parse("file://nas/share/x")


@pytest.mark.parametrize(
    ("text", "scheme", "path", "shown"),
    [
        ("s3://bucket", "s3", "bucket", "s3://bucket"),
        ("s3://bucket/a/b/", "s3", "bucket/a/b", "s3://bucket/a/b"),
        ("S3://bucket//a/./b", "s3", "bucket/a/b", "s3://bucket/a/b"),
        ("s3a://bucket/a", "s3", "bucket/a", "s3://bucket/a"),
        ("memory://", "memory", "", "memory://"),
        ("memory://store/x y+%20", "memory", "store/x y+%20", "memory://store/x y+%20"),
    ],
)
def test_object_stores(text: str, scheme: str, path: str, shown: str) -> None:
    """Bucket and prefix, without slashes at the ends."""
    url = parse(text)
    assert (url.kind, url.scheme, url.path, url.text) == ("object", scheme, path, shown)
    assert local_path(text) is None


@pytest.mark.parametrize(
    "text", ["http://h/b", "https://h/b", "s3://", "s3://key:secret@b/x", "s3://b/../c", "file://"]
)
def test_refused(text: str) -> None:
    """No store, or one that would leak a password; the password is not repeated."""
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert caught.value.next
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FileNotFoundError("x"), NotFound),
        (FileExistsError("x"), Occupied),
        (PermissionError(errno.EACCES, "x"), Refused),
        (OSError(errno.ENOSPC, "x"), StoreError),
        (OSError(errno.EROFS, "x"), StoreError),
        (ConnectionRefusedError("x"), Unreachable),
        (ConnectionResetError("x"), Unreachable),
        (TimeoutError("x"), Unreachable),
        (OSError(errno.EIO, "x"), Unreachable),
        (NotFound("x"), NotFound),
    ],
)
def test_system_errors(error: BaseException, kind: type[DiademError]) -> None:
    """Each has its place in the tree."""
    assert type(translate(error, "s3://b/x")) is kind


def test_mistakes_of_programs_pass() -> None:
    """A ValueError is no failure of a store."""
    assert translate(ValueError("x"), "s3://b") is None
    assert not is_transient(ValueError("x"))


@pytest.mark.parametrize(
    ("code", "status", "kind", "again"),
    [
        ("NoSuchBucket", 404, NotFound, False),
        ("NoSuchKey", 404, NotFound, False),
        ("404", 404, NotFound, False),
        ("AccessDenied", 403, Refused, False),
        ("SignatureDoesNotMatch", 403, Refused, False),
        ("PreconditionFailed", 412, Occupied, False),
        ("304", 304, StoreError, False),
        ("ConditionalRequestConflict", 409, Unreachable, True),
        ("SlowDown", 503, Unreachable, True),
        ("InternalError", 500, Unreachable, True),
        ("NotImplemented", 501, Unreachable, False),
        ("XMinioStorageFull", 507, StoreError, False),
        ("BadDigest", 400, DiademError, True),
        ("EntityTooLarge", 400, StoreError, False),
    ],
)
def test_answers_of_servers(code: str, status: int, kind: type[DiademError], again: bool) -> None:
    """An S3 error, bare and as s3fs wraps it."""
    exceptions = pytest.importorskip("botocore.exceptions")
    error = exceptions.ClientError(
        {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject"
    )
    wrapped = OSError(errno.EINVAL, "no")
    wrapped.__cause__ = error
    for each in (error, wrapped):
        assert isinstance(translate(each, "s3://b/x"), kind)
        assert is_transient(each) is again


def test_no_credentials() -> None:
    """The error says where credentials come from."""
    exceptions = pytest.importorskip("botocore.exceptions")
    error = translate(exceptions.NoCredentialsError(), "s3://b")
    assert isinstance(error, Refused)
    assert "AWS_ACCESS_KEY_ID" in str(error)


def test_only_what_is_known_to_be_harmless_goes_to_other_processes() -> None:
    given = {
        "key": "AKIA", "secret": "s", "token": "t", "password": "p", "something_new": "?", "anon": False,
        "endpoint_url": "http://server:9000", "profile": "lab", "port": 22, "known_hosts": "/etc/hosts.known",
        "client_kwargs": {"region_name": "eu", "aws_secret_access_key": "s", "endpoint_url": "http://me:pw@server"},
        "config_kwargs": {"s3": {"addressing_style": "path"}, "proxies": {"http": "http://me:pw@proxy"}},
    }  # fmt: skip
    assert without_secrets(given) == {
        "anon": False, "endpoint_url": "http://server:9000", "profile": "lab", "port": 22,
        "known_hosts": "/etc/hosts.known", "client_kwargs": {"region_name": "eu"},
        "config_kwargs": {"s3": {"addressing_style": "path"}},
    }  # fmt: skip
    assert without_secrets(None) == {}

"""What opening and verifying a package on S3 asks of the server: everything once."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import diadem
from diadem.errors import DigestMismatch
from diadem.model.manifest import INDEX_PATH, LEAVES_PATH, MANIFEST, RECORD_PATH, TAGMANIFEST
from diadem.store.objects import ObjectStore
from tests.archive.test_earlier import NAME, unpacked
from tests.services import CountingProxy, S3Server, put_folder

pytest.importorskip("botocore", reason="the extra [s3] is not installed")


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[CountingProxy]:
    """Stands before the server."""
    proxy = CountingProxy(s3_server.endpoint)
    yield proxy
    proxy.close()


@pytest.fixture
def options(s3_server: S3Server, proxy: CountingProxy) -> dict[str, object]:
    """How the server is reached through the proxy."""
    return {**s3_server.storage_options, "endpoint_url": proxy.endpoint}


@pytest.fixture
def url(s3_server: S3Server, tmp_path: Path) -> str:
    """A package on the server."""
    store = s3_server.url(uuid.uuid4().hex)
    put_folder(unpacked("objects", tmp_path) / "objects", store, s3_server)
    return f"{store}/{NAME}"


def test_opening_asks_for_each_tag_file_once(url: str, options: dict[str, object], proxy: CountingProxy) -> None:
    package = diadem.open(url, storage_options=options)
    asked = proxy.take()
    names = ("bagit.txt", "bag-info.txt", MANIFEST, INDEX_PATH, LEAVES_PATH, TAGMANIFEST)
    assert sorted(asked) == sorted(f"GET /{url.removeprefix('s3://')}/{name}" for name in names)
    assert len(package.record.datasets) > 0
    assert proxy.take() == [f"GET /{url.removeprefix('s3://')}/{RECORD_PATH}"]
    assert package.verify(level="quick").ok


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"\n", lambda data: data[:0]])
def test_a_record_of_another_length_is_not_what_was_archived(
    change: Callable[[bytes], bytes], url: str, options: dict[str, object], s3_server: S3Server
) -> None:
    client = ObjectStore(url, s3_server.storage_options).client
    data = client.get(RECORD_PATH, 0, 1 << 20)
    client.put(RECORD_PATH, change(data))
    with pytest.raises(DigestMismatch, match=f"bytes and should have {len(data):,}"):
        _ = diadem.open(url, storage_options=options).record


@pytest.mark.parametrize("level", ["quick", "full", None])
def test_verifying_asks_for_nothing_twice(
    level: str | None, url: str, options: dict[str, object], proxy: CountingProxy
) -> None:
    report = diadem.verify(url, level=level, storage_options=options)
    assert report.ok
    asked = proxy.take()
    twice = {request for request in asked if asked.count(request) > 1}
    assert all(request.endswith("/data/frames.raw") for request in twice), twice  # it has two leaves
    assert sum("list-type=2" in request for request in asked) == 1
    assert not any(request.startswith("HEAD") for request in asked)
    # One list, the tag manifest and what it lists; at `full` every file, of which one is empty and one has two leaves.
    assert len(asked) == 1 + 7 + (0 if level == "quick" else 8)


def test_an_object_that_is_empty_or_too_large_is_a_finding(
    url: str, options: dict[str, object], s3_server: S3Server
) -> None:
    client = ObjectStore(url, s3_server.storage_options).client
    wrong = {b"": "is not what the tag manifest lists", bytes(5000): "5,000 bytes, more than the 4,096"}
    for content, words in wrong.items():
        client.put("bagit.txt", content)
        with pytest.raises(diadem.DiademError, match=words):
            diadem.open(url, storage_options=options)
        assert not diadem.verify(url, storage_options=options).ok
    client.delete("bagit.txt")
    with pytest.raises(diadem.DiademError, match="the tag file is missing"):
        diadem.open(url, storage_options=options)

"""Requests to an S3 server, through s3fs: its sessions and configuration, our retries, checksums and conditions."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from fsspec.asyn import sync

from diadem.errors import IntegrityError, NotFound, StoreError
from diadem.store.client import ObjectClient, OpenUpload, Stat, UploadThreads, part_size, regrouped
from diadem.store.retry import Occupied, Patience


class S3Client(ObjectClient):
    """One bucket and prefix of an S3 server, over `s3fs.S3FileSystem` with its own retries switched off."""

    def __init__(self, file_system: Any, root: str, patience: Patience) -> None:
        super().__init__(patience)
        self._fs = file_system
        file_system.retries = 1
        self._bucket, _, prefix = root.strip("/").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""

    @property
    def url(self) -> str:
        """``s3://bucket/prefix``."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def check(self) -> None:
        """Ask for the bucket; some servers would make a missing one at the first write."""
        try:
            self._call("head_bucket", "")
        except NotFound as error:
            raise NotFound(
                "there is no such bucket",
                where=f"s3://{self._bucket}",
                next="Create the bucket, or correct its name.",
            ) from error

    def now(self) -> datetime:
        """The Date header of an answer."""
        headers = self._call("head_bucket", "")["ResponseMetadata"]["HTTPHeaders"]
        return parsedate_to_datetime(headers["date"]).astimezone(UTC)

    def stat(self, key: str) -> Stat | None:
        """One HEAD."""
        try:
            answer = self._call("head_object", key, Key=self._prefix + key)
        except NotFound:
            return None
        return Stat(key, int(answer["ContentLength"]), str(answer.get("ETag", "")), answer.get("LastModified"))

    def list(self, prefix: str) -> Iterator[Stat]:
        """One LIST for a thousand objects, all levels. Markers of empty folders, made by consoles, are no objects."""
        folder = self._prefix + (f"{prefix}/" if prefix else "")
        for page in self._pages("list_objects_v2", ("ContinuationToken", "NextContinuationToken"), Prefix=folder):
            for entry in page.get("Contents", ()):
                key, size = str(entry["Key"]).removeprefix(self._prefix), int(entry["Size"])
                if size or not key.endswith("/"):
                    yield Stat(key, size, str(entry.get("ETag", "")), entry.get("LastModified"))

    def folders(self, prefix: str) -> Iterator[str]:
        """The server gathers what has the same beginning up to the next slash."""
        yield from (name for name in self._directly_below(prefix, "CommonPrefixes", "Prefix") if name)

    def files(self, prefix: str) -> Iterator[str]:
        """The same listing, the other half of the answer."""
        yield from (name for name in self._directly_below(prefix, "Contents", "Key") if name)

    def _directly_below(self, prefix: str, kind: str, name: str) -> Iterator[str]:
        folder = self._prefix + (f"{prefix}/" if prefix else "")
        tokens = ("ContinuationToken", "NextContinuationToken")
        for page in self._pages("list_objects_v2", tokens, Prefix=folder, Delimiter="/"):
            yield from (str(entry[name])[len(folder) :].rstrip("/") for entry in page.get(kind, ()))

    def place(self) -> str | None:
        """Endpoint and bucket: names of buckets are unique at one endpoint, and at Amazon in all regions."""
        endpoint = urlsplit(str(self._fs.s3.meta.endpoint_url))
        host = endpoint.netloc.lower()
        return f"s3:{'amazonaws.com' if host.endswith('.amazonaws.com') else host}/{self._bucket}"

    def get(self, key: str, start: int, end: int, version: str = "") -> bytes:
        """One ranged GET; the server itself is asked to refuse if the object is no longer that version."""
        if end <= start:
            return b""
        condition = {"IfMatch": version} if version else {}
        try:
            return self._try(key, lambda: self._download(key, f"bytes={start}-{end - 1}", condition))
        except Occupied as error:
            raise IntegrityError(
                "the object changed while it was read", where=self._at(key), next="Verify the package."
            ) from error

    def _download(self, key: str, span: str, condition: dict[str, str]) -> bytes:
        answer = self._fs.call_s3("get_object", Bucket=self._bucket, Key=self._prefix + key, Range=span, **condition)
        body = answer["Body"]
        try:
            data: bytes = sync(self._fs.loop, body.read)
        finally:
            body.close()
        self.traffic.count(received=len(data))
        return data

    def put(
        self, key: str, data: bytes, *, sha256: bytes | None = None, create: bool = False, replaces: str = ""
    ) -> str:
        """One PUT."""
        options: dict[str, str] = {}
        if sha256 is not None:
            options["ChecksumSHA256"] = _base64(sha256)
        if create:
            options["IfNoneMatch"] = "*"
        if replaces:
            options["IfMatch"] = replaces
        answer = self._call("put_object", key, Key=self._prefix + key, Body=data, **options)
        self.traffic.count(sent=len(data))
        return str(answer.get("ETag", ""))

    def delete(self, key: str, *, only: str = "") -> None:
        """One DELETE; S3 does not mind if nothing is there."""
        condition = {"IfMatch": only} if only else {}
        try:
            self._call("delete_object", key, Key=self._prefix + key, **condition)
        except NotFound:
            return

    def _write_large(
        self, key: str, blocks: Iterator[bytes], size: int, threads: UploadThreads, told: Callable[[int], None]
    ) -> None:
        """In parts, several at once; the thread that sends the last one completes the object."""
        upload, length = self.begin(key), part_size(size)
        parts: list[tuple[int, str, bytes]] = []
        lock = threading.Lock()
        done = threading.Event()
        threads.or_else(lambda: None if done.is_set() else self.abort(key, upload))

        def send(number: int, data: bytes) -> None:
            digest = hashlib.sha256(data).digest()
            mark = self.part(key, upload, number, data, digest)
            with lock:
                parts.append((number, mark, digest))
                complete = len(parts) == -(-size // length)
            if complete:
                self.complete(key, upload, parts)
                done.set()
            told(len(data))

        for number, block in enumerate(regrouped(blocks, length), 1):
            threads.submit(len(block), partial(send, number, block))

    def checks_parts(self, key: str) -> bool:
        """By an upload that is aborted."""
        upload = self.begin(key)
        try:
            self.part(key, upload, 1, b"diadem probe", hashlib.sha256(b"diadem probe: other bytes").digest())
        except StoreError:
            return True
        finally:
            self.abort(key, upload)
        return False

    def begin(self, key: str) -> str:
        """Announce SHA-256 for every part."""
        answer = self._call("create_multipart_upload", key, Key=self._prefix + key, ChecksumAlgorithm="SHA256")
        return str(answer["UploadId"])

    def part(self, key: str, upload: str, number: int, data: bytes, sha256: bytes) -> str:
        """One part."""
        answer = self._call(
            "upload_part",
            key,
            Key=self._prefix + key,
            UploadId=upload,
            PartNumber=number,
            Body=data,
            ChecksumSHA256=_base64(sha256),
        )
        self.traffic.count(sent=len(data))
        return str(answer["ETag"])

    def complete(self, key: str, upload: str, parts: Iterable[tuple[int, str, bytes]]) -> None:
        """Complete. A repeated request for what is already complete says NoSuchUpload, and the new object is there."""
        listed = [
            {"PartNumber": number, "ETag": mark, "ChecksumSHA256": _base64(digest)}
            for number, mark, digest in sorted(parts)
        ]
        try:
            self._call(
                "complete_multipart_upload",
                key,
                Key=self._prefix + key,
                UploadId=upload,
                MultipartUpload={"Parts": listed},
            )
        except NotFound:
            now = self.stat(key)
            if now is None or now.version.strip('"') != _etag_of([str(part["ETag"]) for part in listed]):
                raise  # what has the key is not this upload: an older object, or another writer's

    def abort(self, key: str, upload: str) -> None:
        """Abort."""
        try:
            self._call("abort_multipart_upload", key, Key=self._prefix + key, UploadId=upload)
        except NotFound:
            return

    def uploads(self, prefix: str) -> Iterator[OpenUpload]:
        """Open uploads, a thousand for a request."""
        folder = self._prefix + (f"{prefix}/" if prefix else "")
        markers: dict[str, str] = {}
        while True:
            page = self._call("list_multipart_uploads", prefix, Prefix=folder, **markers)
            for entry in page.get("Uploads", ()):
                key = str(entry["Key"])
                if key.startswith(folder):  # some servers ignore the prefix
                    yield OpenUpload(key.removeprefix(self._prefix), str(entry["UploadId"]), entry["Initiated"])
            if not page.get("IsTruncated"):
                return
            markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page.get("NextUploadIdMarker", "")}

    def _pages(self, method: str, tokens: tuple[str, str], **options: Any) -> Iterator[dict[str, Any]]:
        """All pages of an answer; each is a request of its own, so that a failing one is tried again."""
        while True:
            page = self._call(method, "", **options)
            yield page
            if not page.get("IsTruncated"):
                return
            options[tokens[0]] = page[tokens[1]]

    def _call(self, method: str, key: str, **options: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._try(key, lambda: self._fs.call_s3(method, Bucket=self._bucket, **options) or {})
        return answer


def _etag_of(marks: Sequence[str]) -> str | None:
    """The ETag of an object of several parts, from theirs; None where they are no MD5, as under a key of the server."""
    try:
        digests = b"".join(bytes.fromhex(mark.strip('"')) for mark in marks)
    except ValueError:
        return None
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(marks)}"


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()

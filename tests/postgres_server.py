"""A real PostgreSQL server on loopback for tests, with data that are thrown away."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

#: Seconds.
_START = 60
#: Nothing here must outlive a power failure.
_SETTINGS = ("fsync=off", "full_page_writes=off", "max_connections=200", "listen_addresses=127.0.0.1")
_ROLE = "diadem"


@dataclass
class PostgresServer:
    """A running server.

    Attributes
    ----------
    port : int
        On 127.0.0.1.
    folder : Path
        Its data, owned by the account that it runs as.
    programs : Path
        Where PostgreSQL's programs are.
    """

    port: int
    folder: Path
    programs: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def database(self) -> str:
        """The address of its database, without a schema."""
        return f"postgresql://{_ROLE}@127.0.0.1:{self.port}/postgres"

    def url(self, name: str = "") -> str:
        """The address of a catalogue of its own."""
        return f"{self.database}?schema={name or 'c' + uuid.uuid4().hex}"

    def start(self) -> None:
        """Let it run, until it answers."""
        command = [str(self.programs / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port)]
        command += ["-k", str(self.folder)] + [part for one in _SETTINGS for part in ("-c", one)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **_account())
        end = time.monotonic() + _START
        while time.monotonic() < end and self.process.poll() is None:
            ready = [str(self.programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
            if subprocess.run(ready, check=False).returncode == 0:
                return
            time.sleep(0.05)
        raise RuntimeError(f"PostgreSQL does not run here: {(self.folder / 'log').read_text()[-500:]}")

    def stop(self, how: str = "immediate") -> None:
        """End it at once, as a machine that is switched off; or "fast", as administrators do."""
        if self.process is not None:
            subprocess.run(
                [str(self.programs / "pg_ctl"), "stop", "-s", "-D", str(self.folder / "data"), "-m", how],
                check=False,
                **_account(),
            )
            self.process.wait(20)
            self.process = None


def _account() -> dict[str, Any]:
    """PostgreSQL refuses to be run by root."""
    return {"user": "postgres", "group": "postgres", "extra_groups": [], "cwd": "/"} if os.geteuid() == 0 else {}


def find_postgres() -> Path | None:
    """The folder of its programs: Debian keeps each version's apart."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    found = shutil.which("initdb")
    return next((place for place in places if (place / "initdb").exists()), Path(found).parent if found else None)


@contextmanager
def run_postgres() -> Iterator[PostgresServer]:
    """Make a server and let it run. Raises `RuntimeError` or `OSError` where that cannot be."""
    programs = find_postgres()
    if programs is None:
        raise RuntimeError("PostgreSQL is not installed (apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="diadem-postgres-"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        server = PostgresServer(free.getsockname()[1], folder, programs)
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        _make(server)
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _make(server: PostgresServer) -> None:
    """A server that orders texts as a German dictionary does, where it can: no search may depend on that."""
    command = [str(server.programs / "initdb"), "-D", str(server.folder / "data"), "-U", _ROLE, "-A", "trust", "-N"]
    command += ["-E", "UTF8", "--locale=C"]
    german = subprocess.run(
        [*command, "--locale-provider=icu", "--icu-locale=de"], capture_output=True, check=False, **_account()
    )
    if german.returncode:
        subprocess.run(command, capture_output=True, check=True, **_account())


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """PostgreSQL for the whole session; each catalogue has a schema of its own."""
    pytest.importorskip("psycopg", reason="the extra [postgres] is not installed")
    if os.name == "nt":
        pytest.skip("the PostgreSQL server is started on Linux and macOS only")
    running = run_postgres()
    try:
        server = running.__enter__()
    except (RuntimeError, OSError, KeyError, subprocess.SubprocessError) as error:
        pytest.skip(f"no PostgreSQL server: {error}")
    try:
        yield server
    finally:
        running.__exit__(None, None, None)


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server that a test may stop."""
    pytest.importorskip("psycopg")
    try:
        running = run_postgres()
        server = running.__enter__()
    except (RuntimeError, OSError, KeyError) as error:
        pytest.skip(str(error))
    try:
        yield server
    finally:
        running.__exit__(None, None, None)

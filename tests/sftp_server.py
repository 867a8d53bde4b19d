"""A real SFTP server on loopback for tests: OpenSSH with a host key and a user key of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

#: Seconds.
_START = 30
_CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
PubkeyAuthentication yes
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
UseDNS no
PidFile none
MaxStartups 100
LogLevel ERROR
Subsystem sftp {sftp}
"""


@dataclass(frozen=True)
class SftpServer:
    """A running SSH server.

    Attributes
    ----------
    port : int
        On 127.0.0.1.
    folder : Path
        Its keys, and `files`, in which tests make folders of their own.
    """

    port: int
    folder: Path

    @property
    def files(self) -> Path:
        """A folder that the server shows, as this machine sees it."""
        return self.folder / "files"

    @property
    def storage_options(self) -> dict[str, Any]:
        """What lets us in."""
        return self.options_through(self.port)

    def options_through(self, port: int) -> dict[str, Any]:
        """The same for a port that leads to the server."""
        known = self.folder / f"known_hosts_{port}"
        if not known.exists():
            draft = known.with_name(f"{known.name}.{uuid.uuid4().hex}")
            draft.write_text(f"[127.0.0.1]:{port} {(self.folder / 'host_key.pub').read_text()}")
            draft.replace(known)
        return {
            "key_filename": str(self.folder / "user_key"),
            "known_hosts": str(known),
            "allow_agent": False,
            "look_for_keys": False,
        }

    def url(self, name: str, port: int | None = None) -> str:
        """The address of a folder in `files`."""
        return f"sftp://127.0.0.1:{port or self.port}{self.files}/{name}"


def find_sshd() -> str | None:
    """The server's program: distributions keep it off the path of users."""
    found = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
    return os.path.realpath(found) if found and shutil.which("ssh-keygen") else None


def run_sftp_server(folder: Path, sftp: str = "internal-sftp") -> Iterator[SftpServer]:
    """Start OpenSSH, yield it when it answers, and end it; `sftp` is the command that answers requests."""
    program = find_sshd()
    if program is None:
        pytest.skip("the SSH server `sshd` is not installed (apt-get install openssh-server)")
    _make_keys(folder)
    (folder / "files").mkdir()
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it locks itself in before anybody is let in
    for _ in range(3):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        (folder / "sshd_config").write_text(_CONFIG.format(port=port, folder=folder, sftp=sftp))
        command = [program, "-D", "-e", "-f", str(folder / "sshd_config")]
        with (folder / "sshd.log").open("ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            if _answers(process, port):
                yield SftpServer(port, folder)
                return
        finally:
            process.terminate()
            process.wait(20)
    pytest.skip(f"the SSH server does not run here: {(folder / 'sshd.log').read_text().strip()[-200:]}")


def _make_keys(folder: Path) -> None:
    for name in ("host_key", "user_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
        subprocess.run(command, check=True)
    shutil.copyfile(folder / "user_key.pub", folder / "authorized_keys")


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether the server greets; False when it ended by itself."""
    end = time.monotonic() + _START
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as line:
            if line.recv(4) == b"SSH-":
                return True
        time.sleep(0.05)
    return False


@pytest.fixture(scope="session")
def sftp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    """OpenSSH for the whole session; tests use folders of their own."""
    pytest.importorskip("paramiko", reason="the extra [sftp] is not installed")
    if os.name == "nt":
        pytest.skip("the SSH server is started on Linux and macOS only")
    yield from run_sftp_server(tmp_path_factory.mktemp(f"sshd-{getpass.getuser()}"))

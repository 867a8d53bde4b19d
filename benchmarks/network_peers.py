"""The programs that a transfer is measured against, between two sites: rsync and scp over ssh, rclone, nginx with curl.

Each takes the sender's folder to a new folder of the receiver and syncs it; none checks what came against anything that
the sender signed, and none leaves a receipt. Two are timed once more with the check that a careful person adds: SHA-256
of every file against the sender's list.
"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import machine
from timing import Contender, both_sides, run

from diadem.testing.faults import remove

SSH_PORT, HTTPS_PORT = 10022, 10443
#: What stands behind the title of a program whose files are checked against the sender's list.
CHECKED = " and SHA-256"
#: Seconds for a server to answer.
_START = 20
#: OpenSSH's own first choice, and the fastest on processors with AES instructions.
CIPHERS = {"": [], "aes128": ["-c", "aes128-gcm@openssh.com"]}


@dataclass(frozen=True)
class Place:
    """One end of a line.

    Attributes
    ----------
    address : str
        Where the other end finds it.
    before : tuple of str
        What stands before each command that runs there: ``ip netns exec NAME``.
    """

    address: str
    before: tuple[str, ...] = ()

    def words(self, *command: str | Path) -> list[str]:
        """A command that runs there."""
        return [*self.before, *(str(part) for part in command)]


def find(program: str) -> str | None:
    """Path of a program: beside the interpreter first, then on the PATH, then among those of the administrator."""
    beside = str(Path(sys.executable).parent)
    return shutil.which(program, path=os.pathsep.join([beside, os.environ.get("PATH", ""), "/usr/sbin"]))


class Servers:
    """An ssh server and a web server at the sender's end, with keys of their own, where they can be started."""

    def __init__(self, work: Path, sender: Place, folder: Path) -> None:
        self.work, self.sender, self.folder = work, sender, folder
        #: Why a server does not run: ``sshd``, ``nginx``.
        self.absent: dict[str, str] = {}
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start what is installed; what cannot be started is noted in `absent`."""
        self.work.mkdir(parents=True)
        list_all = 'find . -type f -print0 | xargs -0 sha256sum > "$1"'
        run(["sh", "-euc", list_all, "sh", self.work / "sums"], cwd=self.folder)
        for name, needed, begin in (
            ("sshd", ("sshd", "ssh-keygen", "ssh"), self._ssh),
            ("nginx", ("nginx", "openssl"), self._web),
        ):
            missing = [program for program in needed if find(program) is None]
            if missing:
                self.absent[name] = f"not installed: {', '.join(missing)}"
                continue
            try:
                begin()
            except (OSError, RuntimeError) as error:
                self.absent[name] = str(error)

    def _ssh(self) -> None:
        for name in ("host", "user"):
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.work / name])
        shutil.copy(self.work / "user.pub", self.work / "authorized")
        (self.work / "sshd").write_text(
            f"Port {SSH_PORT}\nHostKey {self.work}/host\nAuthorizedKeysFile {self.work}/authorized\nStrictModes no\n"
            "PasswordAuthentication no\nPermitRootLogin prohibit-password\nUsePAM no\nUseDNS no\nPidFile none\n"
            "MaxStartups 100\nSubsystem sftp internal-sftp\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # where the server of an administrator keeps its children
        self._spawn(SSH_PORT, find("sshd") or "", "-D", "-e", "-f", self.work / "sshd")

    def _web(self) -> None:
        curve: list[str | Path] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        key = [*curve, "-nodes", "-keyout", self.work / "tls.key"]
        run(["openssl", "req", "-x509", *key, "-out", self.work / "tls.crt", "-subj", "/CN=bench", "-days", "9"])
        user = "user root; " if os.geteuid() == 0 else ""
        (self.work / "nginx").write_text(
            f"daemon off; pid {self.work}/pid; error_log stderr error; {user}worker_processes 2;\n"
            "events { worker_connections 512; }\n"
            f"http {{ access_log off; sendfile on; tcp_nopush on; server {{ listen {HTTPS_PORT} ssl; "
            f"ssl_certificate {self.work}/tls.crt; ssl_certificate_key {self.work}/tls.key; "
            f"ssl_protocols TLSv1.3; root {self.folder}; autoindex on; }} }}\n"
        )
        self._spawn(HTTPS_PORT, find("nginx") or "", "-p", self.work, "-c", self.work / "nginx")

    def _spawn(self, port: int, *command: str | Path) -> None:
        """Start a server, and wait until it answers. Raises `RuntimeError` with what it said."""
        path = self.work / f"{port}.log"
        with path.open("wb") as log:
            started = subprocess.Popen(self.sender.words(*command), stdout=log, stderr=log)
        self._running.append(started)
        call = f"import socket; socket.create_connection(({self.sender.address!r}, {port}), 1).close()"
        asked = self.sender.words(sys.executable, "-c", call)
        end = time.monotonic() + _START
        while subprocess.run(asked, stderr=subprocess.DEVNULL, check=False).returncode:
            if started.poll() is not None:
                raise RuntimeError(f"it ends at once: {path.read_text('utf-8', 'replace').strip()[-500:]}")
            if time.monotonic() > end:
                raise RuntimeError(f"it does not answer at port {port} after {_START} s")
            time.sleep(0.1)

    def cpu(self) -> float:
        """CPU seconds of the servers so far."""
        return sum(machine.used_below(one.pid)[0] for one in self._running)

    def stop(self) -> None:
        """End the servers."""
        for one in self._running:
            one.terminate()
        for one in self._running:
            one.wait(_START)


@contextmanager
def servers(work: Path, sender: Place, folder: Path) -> Iterator[Servers]:
    """The servers while they are needed; they show one folder."""
    made = Servers(work, sender, folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def contenders(given: Servers, receiver: Place, target: Path, *, many: bool) -> tuple[list[Contender], dict[str, str]]:
    """Everything that can be timed; and of what cannot, why not."""
    options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
    ssh = f"-p {SSH_PORT} -i {given.work}/user {options}"
    where, source, user = given.sender.address, given.folder, getpass.getuser()
    #: Its title, the server and the programs that it needs, and what is run.
    scripts: list[tuple[str, str, Sequence[str], str]] = []
    for name, words in CIPHERS.items():
        cipher, title = " ".join(words), f" {name}" if name else ""
        copied = f"rsync -a --inplace --whole-file -e 'ssh {cipher} {ssh}' {user}@{where}:{source}/ {target}/"
        scripts.append((f"rsync over ssh{title}", "sshd", ("rsync",), copied))
        copied = f"scp -q -r {cipher} {ssh.replace('-p ', '-P ')} {user}@{where}:{source} {target}"
        scripts.append((f"scp{title}", "sshd", ("scp",), copied))
    key = f"--sftp-host {where} --sftp-port {SSH_PORT} --sftp-user {user} --sftp-key-file {given.work}/user"
    lanes = "--transfers 16 --checkers 16" if many else "--multi-thread-streams 4"
    rclone = f"{find('rclone')} copy {lanes}"
    scripts.append(("rclone sftp", "sshd", ("rclone",), f"{rclone} {key} :sftp:{source} {target}"))
    url = f"https://{where}:{HTTPS_PORT}"
    http = f"{rclone} --no-check-certificate --http-url {url}/ :http: {target}"
    scripts.append(("rclone https", "nginx", ("rclone",), http))
    check = f"cd {target} && sha256sum --quiet -c {given.work}/sums"
    copied = f"rsync -a --inplace --whole-file -e 'ssh {ssh}' {user}@{where}:{source}/ {target}/"
    scripts.append((f"rsync over ssh{CHECKED}", "sshd", ("rsync",), f"{copied} && {check}"))
    if not many:
        files = [path.name for path in sorted(source.iterdir())]
        names = " ".join(f"-o {target}/{name} {url}/{name}" for name in files)
        fetched = f"mkdir -p {target} && curl -s -k {names}"
        scripts.append(("nginx + curl", "nginx", ("curl",), fetched))
        scripts.append((f"nginx + curl{CHECKED}", "nginx", ("curl",), f"{fetched} && {check}"))
    made, left_out = [], {}
    for title, server, programs, script in scripts:
        missing = [program for program in programs if find(program) is None]
        if missing:
            left_out[title] = f"not installed: {', '.join(missing)}"
        elif server in given.absent:
            left_out[title] = f"{server}: {given.absent[server]}"
        else:
            made.append(_timed(title, script, receiver, target, given))
    return made, left_out


def _timed(title: str, script: str, receiver: Place, target: Path, given: Servers) -> Contender:
    words = receiver.words("sh", "-euc", f"{script} && sync -f {target}")
    return Contender(title, partial(both_sides, lambda: run(words), given.cpu), partial(_cleared, target))


def _cleared(*folders: Path) -> None:
    for folder in folders:
        if folder.exists():
            remove(folder)


def versions() -> dict[str, str]:
    """First line of what each peer says of itself."""
    asked: Sequence[tuple[str, str]] = (
        ("rsync", "--version"),
        ("ssh", "-V"),
        ("rclone", "version"),
        ("nginx", "-v"),
        ("curl", "--version"),
    )
    found = {}
    for name, option in asked:
        path = find(name)
        if path is None:
            found[name] = "not installed"
            continue
        said = subprocess.run([path, option], capture_output=True, text=True, check=False)
        found[name] = (said.stdout or said.stderr).splitlines()[0]
    return found

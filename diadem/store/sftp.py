"""Requests to an SFTP server: every file written under another name first, then renamed in one step.

OpenSSH's plain rename refuses a name that is taken, and its ``posix-rename`` takes it over; both are one step, so that
creating is exclusive, and a file is whole or not there.

fsspec's own class accepts the key of any host. Here a host must be known, as it must be to ``ssh``: by
``~/.ssh/known_hosts``, ``/etc/ssh/ssh_known_hosts`` or the file that `storage_options` name as ``known_hosts``.
``~/.ssh/config`` is read for host name, port, user and key file.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import logging
import os
import stat
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem
from paramiko.sftp import CMD_CLOSE, CMD_EXTENDED, CMD_EXTENDED_REPLY, CMD_VERSION, SFTP_OP_UNSUPPORTED

from diadem.errors import DiademError, NotFound, Refused, StoreError
from diadem.store.client import Request, Stat
from diadem.store.plain import DRAFTS, PlainClient
from diadem.store.retry import Occupied, Patience, T
from diadem.store.system import account_name

#: Tries to give a file its name: what had it may go, and its folder too, in this very moment.
_TRIES = 4
#: A server with fewer bytes than this is full.
_NOTHING = 256 << 10
#: Places of numbers in the answer to ``statvfs@openssh.com`` (OpenSSH, PROTOCOL): fragment size, blocks, free for us.
_FRAGMENT, _BLOCKS, _AVAILABLE, _NUMBERS = 1, 2, 4, 11
#: Sessions over one connection; OpenSSH allows ten (sshd_config(5), MaxSessions).
_CHANNELS = 4
#: Seconds: to connect, and of silence in the middle of an answer.
_CONNECT_TIMEOUT = 15.0
_ANSWER_TIMEOUT = 120.0
_KEEP_ALIVE = 30
#: Bytes in one request that every server accepts (draft-ietf-secsh-filexfer-02, section 3), and that OpenSSH does,
#: whose limit is twice this; larger ones are several times as fast.
_COMMON_REQUEST = 32 << 10
_OPENSSH_REQUEST = 128 << 10
#: Forces a file to the disk (OpenSSH, PROTOCOL).
_FSYNC = "fsync@openssh.com"
_SYSTEM_HOSTS = "/etc/ssh/ssh_known_hosts"


logging.getLogger("paramiko").addHandler(logging.NullHandler())  # what it says of errors, we say ourselves


class SftpClient(PlainClient):
    """A folder of an SFTP server."""

    def __init__(self, file_system: SftpFiles, root: str, patience: Patience) -> None:
        super().__init__(file_system, root, patience)
        self._alone = contextlib.nullcontext()  # channels are given out one to a thread
        self._files = file_system

    @property
    def url(self) -> str:
        return f"sftp://{self._files.login}{self._root}"

    def check(self) -> None:
        """A folder that is not there yet is made by the first write; a file in its place is an error."""
        found = self._status("")
        if found is not None and not stat.S_ISDIR(found.st_mode):
            raise StoreError("the store is not a folder", where=self.url, next="Name a folder.")

    def stat(self, key: str) -> Stat | None:
        """Size and modification time; a link is no file."""
        found = self._status(key)
        return _stat(key, found) if found is not None and stat.S_ISREG(found.st_mode) else None

    def list(self, prefix: str) -> Iterator[Stat]:
        """Folder by folder; links are not followed."""
        folders = [prefix]
        while folders:
            folder = folders.pop()
            start = f"{folder}/" if folder else ""
            for entry in self._entries(folder):
                if stat.S_ISDIR(entry.st_mode):
                    folders.append(start + entry.filename)
                elif stat.S_ISREG(entry.st_mode):
                    yield _stat(start + entry.filename, entry)

    def names(self, prefix: str, *, folders: bool) -> Sequence[str]:
        is_kind = stat.S_ISDIR if folders else stat.S_ISREG
        return [entry.filename for entry in self._entries(prefix) if is_kind(entry.st_mode)]

    def space(self) -> tuple[int, int] | None:
        """What OpenSSH says of the disk; other servers do not."""
        try:
            return self._ask("", lambda ftp: _space(ftp, self._root or "/"))
        except DiademError:
            return None

    def place(self) -> str | None:
        """The server: what it stands on it does not say."""
        return f"sftp:{self._files.server}"

    def get(self, key: str, start: int, end: int, _version: str = "") -> bytes:
        """All requests for a range are under way together."""
        if end <= start:
            return b""

        def read(ftp: Any) -> bytes:
            with ftp.open(self._path(key), "rb") as file:
                file.MAX_REQUEST_SIZE = self._files.request_size
                return b"".join(file.readv([(start, end - start)]))

        return self._ask(key, read)

    def put(self, key: str, data: bytes, *, create: bool = False, **_: Any) -> str:
        self._ask(key, lambda ftp: self._write(ftp, key, (data,), create=create))
        return ""

    def _large(self, key: str, blocks: Iterator[bytes], _size: int, told: Callable[[int], None]) -> Sequence[Request]:
        """A file, block by block; not tried again, as the blocks are gone."""

        def counted() -> Iterator[bytes]:
            for block in blocks:
                yield block
                told(len(block))

        with contextlib.ExitStack() as stack:
            channel = self._try(key, lambda: stack.enter_context(self._files.channel()))  # until here nothing has gone
            self._try(key, lambda: self._write(channel, key, counted(), create=False), Patience(tries=1))
        return ()

    def delete(self, key: str, **_: str) -> None:
        with contextlib.suppress(NotFound):
            self._ask(key, lambda ftp: ftp.remove(self._path(key)))

    # -- requests --------------------------------------------------------------------------------------------------

    def _remove_folder(self, prefix: str) -> None:
        """The server refuses where it is not empty."""
        self._ask(prefix, lambda ftp: ftp.rmdir(self._path(prefix)))

    def _write(self, ftp: Any, key: str, blocks: Iterable[bytes], *, create: bool) -> None:
        draft, size = self._path(f"{DRAFTS}/{uuid.uuid4().hex}"), 0
        try:
            file = ftp.open(draft, "wx")
        except FileNotFoundError:
            _make_folders(ftp, draft.rpartition("/")[0])
            file = ftp.open(draft, "wx")
        try:
            with file:
                file.MAX_REQUEST_SIZE = self._files.request_size
                for block in blocks:
                    _send(file, block)
                    size += len(block)
                ftp.force(file)
            _rename(ftp, draft, self._path(key), size, create=create, where=self._at(key))
        except BaseException as error:
            wordless = isinstance(error, OSError) and not isinstance(error, DiademError) and error.errno is None
            full = wordless and _is_full(ftp, draft)
            with contextlib.suppress(Exception):
                ftp.remove(draft)
            if full:
                advice = "Free space, or choose another store."
                raise StoreError("the store is full", where=self._at(key), next=advice) from error
            raise

    def _status(self, key: str) -> Any:
        try:
            return self._ask(key, lambda ftp: ftp.lstat(self._path(key) if key else self._root or "/"))
        except NotFound:
            return None

    def _entries(self, prefix: str) -> Sequence[Any]:
        """What lies in a folder; nothing where there is none."""
        folder = self._path(prefix) if prefix else self._root or "/"
        try:
            entries = self._ask(prefix, lambda ftp: ftp.listdir_attr(folder))
        except NotFound:
            return []
        return sorted(entries, key=lambda entry: str(entry.filename))

    def _ask(self, key: str, request: Callable[[Any], T]) -> T:
        """Do something on a channel, again on a new one where the line broke."""

        def on_channel() -> T:
            with self._files.channel() as channel:
                return request(channel)

        return self._try(key, on_channel)


def _stat(key: str, found: Any) -> Stat:
    return Stat(key, int(found.st_size), "", datetime.fromtimestamp(found.st_mtime, UTC))


def _space(ftp: Any, path: str) -> tuple[int, int]:
    """Bytes that are free for us, and in all."""
    kind, answer = ftp._request(CMD_EXTENDED, "statvfs@openssh.com", path)  # noqa: SLF001
    if kind != CMD_EXTENDED_REPLY:
        raise StoreError("the server does not say", where=path)
    numbers = [answer.get_int64() for _ in range(_NUMBERS)]
    return numbers[_AVAILABLE] * numbers[_FRAGMENT], numbers[_BLOCKS] * numbers[_FRAGMENT]


def _is_full(ftp: Any, path: str) -> bool:
    """Whether that is why a write failed: SFTP has no word for it."""
    try:
        return _space(ftp, path)[0] < _NOTHING
    except (OSError, EOFError, DiademError):
        return False


def _send(file: Any, data: bytes) -> None:
    """Many requests under way together; the answer to every one of them is looked at before this returns."""
    view = memoryview(data)
    last = max(0, (len(view) - 1) // file.MAX_REQUEST_SIZE * file.MAX_REQUEST_SIZE)
    file.set_pipelined(True)
    file.write(view[:last])
    file.set_pipelined(False)  # the next write waits for all answers
    file.write(view[last:])


def _rename(ftp: Any, draft: str, target: str, size: int, *, create: bool, where: str) -> None:
    """Give a draft its name, if it has the bytes that were sent."""
    if ftp.stat(draft).st_size != size:
        raise StoreError("the server stored different bytes than were sent", where=where)
    for attempt in range(_TRIES):
        try:
            if create:
                ftp.rename(draft, target)
            else:
                _replace(ftp, draft, target)
        except FileNotFoundError:
            _make_folders(ftp, target.rpartition("/")[0])
        except OSError as error:  # OpenSSH says "Failure" for everything else
            if create and _is_there(ftp, target):
                raise Occupied("another writer was faster", where=where, next="Run the same command again.") from error
            if attempt == _TRIES - 1:
                raise
        else:
            return
    raise NotFound("the folder for a file cannot be made", where=where)


def _replace(ftp: Any, draft: str, target: str) -> None:
    try:
        ftp.posix_rename(draft, target)
    except FileNotFoundError:
        raise
    except OSError:  # a server without that extension
        if _is_there(ftp, target):
            ftp.remove(target)
        ftp.rename(draft, target)


def _is_there(ftp: Any, path: str) -> bool:
    try:
        ftp.lstat(path)
    except OSError:
        return False
    return True


def _make_folders(ftp: Any, folder: str) -> None:
    missing = []
    while folder and not _is_there(ftp, folder):
        missing.append(folder)
        folder = folder.rpartition("/")[0]
    for each in reversed(missing):
        try:
            ftp.mkdir(each)
        except OSError:
            if not _is_there(ftp, each):  # else another writer was faster
                raise


# -- the connection ----------------------------------------------------------------------------------------------------


class _Channel(paramiko.SFTPClient):  # type: ignore[misc]  # paramiko has no types
    """Also keeps what paramiko forgets: what the server said that it can, and the number of its last answer."""

    _extensions = b""
    _code = 0

    def _read_packet(self) -> tuple[int, bytes]:
        kind, data = super()._read_packet()
        if kind == CMD_VERSION:
            self._extensions = bytes(data)
        return kind, data

    def _convert_status(self, msg: paramiko.Message) -> None:
        self._code = int.from_bytes(msg.get_remainder()[:4], "big")
        super()._convert_status(msg)

    def force(self, file: Any) -> None:
        """Have the server force a file to its disk, and close it; raises `OSError` where it could not.

        A server that does not know how is believed without: what it took is as sure as its disk.
        """
        self._code = 0
        try:
            if _FSYNC.encode() in self._extensions:
                self._request(CMD_EXTENDED, _FSYNC, file.handle)
        except OSError as error:
            if not self._code:  # it answered nothing: the line is cut, and nothing is known of its disk
                raise
            if self._code != SFTP_OP_UNSUPPORTED:
                raise OSError(f"its disk did not take the file ({error})") from error
        file._closed = True  # noqa: SLF001  paramiko's own does not tell what a disk says that notices only now
        self._request(CMD_CLOSE, file.handle)


class SftpFiles(SFTPFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Files of one server; nothing is connected before it is used.

    `host` may be an alias of ``~/.ssh/config``; `known_hosts` names a file of host keys besides the system's; all else
    is for ``paramiko.SSHClient.connect``: ``username``, ``port``, ``key_filename``, ``passphrase``, ``password`` …
    """

    def _connect(self) -> None:
        """What fsspec does when it is made: here, to remember how to connect."""
        options = dict(self.ssh_kwargs)
        self._known_hosts = options.pop("known_hosts", None)
        self._options = _completed(self.host, options)
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(_CHANNELS)
        self._idle: list[paramiko.SFTPClient] = []
        self.client: Any = None

    @property
    def server(self) -> str:
        """Host name, with the port where it is not 22."""
        host, port = str(self._options["hostname"]).lower(), int(self._options["port"])
        return host if port == 22 else f"{host}:{port}"

    @property
    def login(self) -> str:
        """The same with the user's name, where one was given."""
        user = self.ssh_kwargs.get("username")
        return f"{user}@{self.server}" if user else self.server

    @property
    def request_size(self) -> int:
        """Bytes that one request to read or write may carry; known once there is a connection."""
        transport = None if self.client is None else self.client.get_transport()
        is_openssh = transport is not None and "OpenSSH" in transport.remote_version
        return _OPENSSH_REQUEST if is_openssh else _COMMON_REQUEST

    @property
    def ftp(self) -> Any:
        """For what fsspec does itself: a channel that is not given back."""
        return self._channel()

    @contextlib.contextmanager
    def channel(self) -> Iterator[paramiko.SFTPClient]:
        """A channel for some requests. One on which something else than a server's refusal happened is given up."""
        with self._slots:
            channel = self._channel()
            try:
                yield channel
            except BaseException as error:
                if _is_answer(error):
                    self._idle.append(channel)
                else:
                    with contextlib.suppress(Exception):
                        channel.close()
                raise
            self._idle.append(channel)

    def _channel(self) -> paramiko.SFTPClient:
        with self._lock:
            transport = None if self.client is None else self.client.get_transport()
            if transport is None or not transport.is_active():
                self._idle.clear()
                self.client = self._new_client()
            if self._idle:
                return self._idle.pop()
            channel = _Channel.from_transport(self.client.get_transport())
        channel.get_channel().settimeout(_ANSWER_TIMEOUT)
        return channel

    def _new_client(self) -> Any:
        client = paramiko.SSHClient()
        client.load_system_host_keys()
        for file in (_SYSTEM_HOSTS, self._known_hosts):
            if file is not None and os.path.isfile(file):
                client.load_system_host_keys(os.fspath(file))
        client.set_missing_host_key_policy(_Unknown())
        try:
            client.connect(**self._options)
        except BaseException:
            client.close()
            raise
        client.get_transport().set_keepalive(_KEEP_ALIVE)
        return client


class _Unknown(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
    """Refuses hosts that are not known, and says how they become so."""

    def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:  # noqa: ARG002
        print_of_key = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
        raise Refused(
            f"the server's key is not known (SHA256:{print_of_key})",
            where=f"sftp://{hostname}",
            next="Compare it with what its administrator says; then connect once with ssh, which remembers it.",
        )


def _is_answer(error: BaseException) -> bool:
    """Whether an error is a server's answer to a request, after which the channel is as good as before."""
    if isinstance(error, Occupied):
        return True
    if not isinstance(error, OSError) or isinstance(error, ConnectionError | TimeoutError | DiademError):
        return False
    return error.errno is not None or str(error) != "Socket is closed"


def _completed(host: str, options: dict[str, Any]) -> dict[str, Any]:
    """Options with what ``~/.ssh/config`` says of a host, as far as they do not say it themselves."""
    said: dict[str, Any] = {}
    with contextlib.suppress(OSError, paramiko.SSHException):
        said = dict(paramiko.SSHConfig.from_path(os.path.expanduser("~/.ssh/config")).lookup(host))
    made: dict[str, Any] = {
        "hostname": said.get("hostname", host),
        "port": int(said.get("port", 22)),
        "username": said.get("user") or account_name(),
        "timeout": _CONNECT_TIMEOUT,
        "banner_timeout": _CONNECT_TIMEOUT,
        "auth_timeout": _CONNECT_TIMEOUT,
    }
    if "identityfile" in said:
        made["key_filename"] = said["identityfile"]
    return made | {name: value for name, value in options.items() if value is not None}

"""An SFTP server as fsspec sees it, with what fsspec leaves out: known hosts, several channels, a line that breaks.

fsspec's own class accepts the key of any host. Here a host must be known, as it must be to ``ssh``: by
``~/.ssh/known_hosts``, ``/etc/ssh/ssh_known_hosts`` or the file that `storage_options` name as ``known_hosts``.
``~/.ssh/config`` is read for host name, port, user and key file.
"""

from __future__ import annotations

import base64
import contextlib
import getpass
import hashlib
import logging
import os
import threading
from collections.abc import Iterator
from typing import Any

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem

from diadem.errors import DiademError, Refused
from diadem.store.translate import Occupied

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
_SYSTEM_HOSTS = "/etc/ssh/ssh_known_hosts"


logging.getLogger("paramiko").addHandler(logging.NullHandler())  # what it says of errors, we say ourselves


class SftpFiles(SFTPFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Files of one server; nothing is connected before it is used.

    Parameters
    ----------
    host : str
        Name, address, or alias of ``~/.ssh/config``.
    known_hosts : str, optional
        File of host keys, besides the system's.
    options
        For ``paramiko.SSHClient.connect``: ``username``, ``port``, ``key_filename``, ``passphrase``, ``password`` …
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
                if is_answer(error):
                    self._idle.append(channel)
                else:
                    with contextlib.suppress(Exception):
                        channel.close()
                raise
            self._idle.append(channel)

    def _channel(self) -> paramiko.SFTPClient:
        with self._lock:
            if self.client is None or not _is_alive(self.client):
                self._idle.clear()
                self.client = self._new_client()
            if self._idle:
                return self._idle.pop()
            channel = self.client.open_sftp()
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


def is_answer(error: BaseException) -> bool:
    """Whether an error is a server's answer to a request, after which the channel is as good as before."""
    if isinstance(error, Occupied):
        return True
    if not isinstance(error, OSError) or isinstance(error, ConnectionError | TimeoutError | DiademError):
        return False
    return error.errno is not None or str(error) != "Socket is closed"


def _is_alive(client: Any) -> bool:
    transport = client.get_transport()
    return transport is not None and bool(transport.is_active())


def _completed(host: str, options: dict[str, Any]) -> dict[str, Any]:
    """Options with what ``~/.ssh/config`` says of a host, as far as they do not say it themselves."""
    said = _configured(host)
    made: dict[str, Any] = {
        "hostname": said.get("hostname", host),
        "port": int(said.get("port", 22)),
        "username": said.get("user", getpass.getuser()),
        "timeout": _CONNECT_TIMEOUT,
        "banner_timeout": _CONNECT_TIMEOUT,
        "auth_timeout": _CONNECT_TIMEOUT,
    }
    if "identityfile" in said:
        made["key_filename"] = said["identityfile"]
    return made | {name: value for name, value in options.items() if value is not None}


def _configured(host: str) -> dict[str, Any]:
    try:
        return dict(paramiko.SSHConfig.from_path(os.path.expanduser("~/.ssh/config")).lookup(host))
    except (OSError, paramiko.SSHException):
        return {}

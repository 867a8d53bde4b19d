"""Sites that are far apart, on one machine: each in a network namespace of its own, joined by a wire or a long line.

A namespace has its own interfaces, addresses and ports; programs in two of them reach each other over the line alone.
Needs Linux, root and `ip`; a long line also a C compiler, for kernels without netem: `line_emulator.c` carries packets
between two TUN devices.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

EMULATOR = Path(__file__).with_name("line_emulator.c")
#: Seconds for `ip` and the compiler.
_PATIENCE = 60
#: `CLONE_NEWNET` of Linux.
_NETWORK = 0x40000000


@cache
def missing() -> str:
    """Why there can be no namespaces here; "" where there can be."""
    if not sys.platform.startswith("linux") or not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "network namespaces need root on Linux"
    if shutil.which("ip") is None:
        return "network namespaces need iproute2"
    name = f"dd{uuid.uuid4().hex[:8]}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, timeout=_PATIENCE, check=False)
    if made.returncode:
        return f"no network namespace can be made here: {made.stderr.strip()}"
    _ip("netns", "del", name)
    return ""


@dataclass(frozen=True)
class Site:
    """One namespace.

    Attributes
    ----------
    name : str
        Of the namespace.
    address : str
        IPv4 address on the line.
    """

    name: str
    address: str

    def words(self, *command: str) -> list[str]:
        """A command, to be run at this site."""
        return ["ip", "netns", "exec", self.name, *command]

    def run(self, *command: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a command at this site and wait for it."""
        return subprocess.run(self.words(*command), capture_output=True, text=True, check=False, **more)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Let this thread, and those that it starts meanwhile, be at this site: what they open goes over its line."""
        system = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net") as before, open(f"/run/netns/{self.name}") as there:
            _enter(system, there.fileno())
            try:
                yield
            finally:
                _enter(system, before.fileno())

    def start(self, *command: str, env: Mapping[str, str] | None = None, **more: Any) -> subprocess.Popen[str]:
        """Start a command at this site."""
        return subprocess.Popen(self.words(*command), text=True, env=env, **more)


def _enter(system: ctypes.CDLL, namespace: int) -> None:
    if system.setns(namespace, _NETWORK):
        raise OSError(ctypes.get_errno(), "this thread cannot go to another site")


@dataclass(frozen=True)
class Wire:
    """Two sites and what joins them.

    Attributes
    ----------
    one, two : Site
        The sites.
    device : str
        Name of the interface, the same at both.
    """

    one: Site
    two: Site
    device: str

    def cut(self) -> None:
        """Take the wire away: packets vanish, nobody is told."""
        self._set("down")

    def join(self) -> None:
        """Put it back."""
        self._set("up")

    def _set(self, state: str) -> None:
        _ip("-n", self.one.name, "link", "set", self.device, state)

    def __enter__(self) -> Self:
        """The wire itself."""
        return self


@contextmanager
def wire() -> Iterator[Wire]:
    """Two sites joined by a virtual cable, without delay."""
    with ExitStack() as made:
        one, two, tag = _sites(made)
        _ip("link", "add", f"{tag}a", "type", "veth", "peer", "name", f"{tag}b")
        for site, device in ((one, f"{tag}a"), (two, f"{tag}b")):
            _ip("link", "set", device, "netns", site.name, "name", "line0")
            _up(site, "line0", peer=None)
        yield Wire(one, two, "line0")


@dataclass(frozen=True)
class Star:
    """A site in the middle, and two that reach it and not each other.

    Attributes
    ----------
    one, two, hub : Site
        The sites. The address of the hub is where both reach it.
    """

    one: Site
    two: Site
    hub: Site

    def cut(self, site: Site) -> None:
        """Take the cable between a site and the hub away: packets vanish, nobody is told."""
        _ip("-n", site.name, "link", "set", "line0", "down")

    def join(self, site: Site) -> None:
        """Put it back; what the site knew of the way is gone with the cable."""
        _ip("-n", site.name, "link", "set", "line0", "up")
        _ip("-n", site.name, "route", "replace", "default", "via", _gateway(site), "dev", "line0")


@contextmanager
def star() -> Iterator[Star]:
    """Two sites, each with a cable to a third one, which forwards nothing."""
    with ExitStack() as made:
        tag = f"dd{uuid.uuid4().hex[:8]}"
        sites = Site(f"{tag}-1", "10.77.1.2"), Site(f"{tag}-2", "10.77.2.2"), Site(f"{tag}-h", "10.77.9.1")
        for site in sites:
            _add(made, site)
        one, two, hub = sites
        _ip("-n", hub.name, "address", "add", f"{hub.address}/32", "dev", "lo")
        subprocess.run(hub.words("sysctl", "-qw", "net.ipv4.ip_forward=0"), check=True, timeout=_PATIENCE)
        for number, site in enumerate((one, two)):
            ends = f"{tag}s{number}", f"{tag}h{number}"
            _ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
            _ip("link", "set", ends[0], "netns", site.name, "name", "line0")
            _ip("link", "set", ends[1], "netns", hub.name, "name", f"line{number}")
            _up(Site(hub.name, _gateway(site)), f"line{number}", peer=None)
            _up(site, "line0", peer=None)
            _ip("-n", site.name, "route", "add", "default", "via", _gateway(site), "dev", "line0")
        yield Star(one, two, hub)


def _gateway(site: Site) -> str:
    """The address of the hub on the cable of a site."""
    return site.address.rpartition(".")[0] + ".1"


@contextmanager
def long_line(
    *, round_trip: float, bytes_per_second: float, loss: float = 0.0, seed: int = 1, control: str = ""
) -> Iterator[Wire]:
    """Two sites joined by a long line.

    Parameters
    ----------
    round_trip : float
        Seconds.
    bytes_per_second : float
        Of each direction; the queue holds as much as is under way in one round trip.
    loss : float
        Part of the packets that is lost, of each direction.
    seed : int
        For the losses.
    control : str
        TCP congestion control at both sites; "" for the system's.
    """
    with ExitStack() as made:
        one, two, tag = _sites(made)
        program = _emulator(made)
        half = int(round_trip / 2 * 1e6)
        words = [program, f"{tag}a", f"{tag}b", str(half), str(bytes_per_second), str(int(loss * 1e6)), str(seed)]
        carrier = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        made.callback(_end, carrier)
        assert carrier.stdout is not None
        if carrier.stdout.readline().strip() != "ready":
            raise RuntimeError("the line cannot be made: is there /dev/net/tun?")
        for site, other, device in ((one, two, f"{tag}a"), (two, one, f"{tag}b")):
            _ip("link", "set", device, "netns", site.name, "name", "line0")
            _up(site, "line0", peer=other)
            if control:
                _control(site, control)
        yield Wire(one, two, "line0")


def _sites(made: ExitStack) -> tuple[Site, Site, str]:
    tag = f"dd{uuid.uuid4().hex[:8]}"
    sites = Site(f"{tag}-1", "10.77.0.1"), Site(f"{tag}-2", "10.77.0.2")
    for site in sites:
        _add(made, site)
    return *sites, tag


def _add(made: ExitStack, site: Site) -> None:
    _ip("netns", "add", site.name)
    made.callback(_ip, "netns", "del", site.name)
    _ip("-n", site.name, "link", "set", "lo", "up")


def _up(site: Site, device: str, *, peer: Site | None) -> None:
    if peer is None:
        _ip("-n", site.name, "address", "add", f"{site.address}/24", "dev", device)
    else:
        _ip("-n", site.name, "address", "add", site.address, "peer", peer.address, "dev", device)
    _ip("-n", site.name, "link", "set", device, "up")


def _control(site: Site, name: str) -> None:
    """Set the congestion control of a site: one that only root may use must be allowed for namespaces first."""
    allowed = "net.ipv4.tcp_allowed_congestion_control"
    known = subprocess.run(["sysctl", "-n", allowed], capture_output=True, text=True, check=True, timeout=_PATIENCE)
    names = known.stdout.split()
    if name not in names:
        subprocess.run(["sysctl", "-qw", f"{allowed}={' '.join([*names, name])}"], check=True, timeout=_PATIENCE)
    setting = f"net.ipv4.tcp_congestion_control={name}"
    subprocess.run(site.words("sysctl", "-qw", setting), check=True, timeout=_PATIENCE)


def _emulator(made: ExitStack) -> str:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise RuntimeError("a long line needs a C compiler: apt install gcc")
    folder = made.enter_context(tempfile.TemporaryDirectory())
    program = str(Path(folder) / "line")
    subprocess.run([compiler, "-O2", "-o", program, str(EMULATOR)], check=True, timeout=_PATIENCE)
    return program


def _end(carrier: subprocess.Popen[str]) -> None:
    if carrier.stdin is not None:
        carrier.stdin.close()
    try:
        carrier.wait(5)
    except subprocess.TimeoutExpired:
        carrier.kill()
        carrier.wait()
    if carrier.stdout is not None:
        carrier.stdout.close()


def _ip(*words: str) -> None:
    done: Sequence[str] = ["ip", *words]
    found = subprocess.run(done, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    if found.returncode:
        raise RuntimeError(f"{' '.join(done)}: {found.stderr.strip()}")

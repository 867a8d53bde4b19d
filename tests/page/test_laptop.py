"""The page of a node elsewhere: what can be done from a laptop, and what is not offered there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import diadem
from diadem.testing.samples import write_session
from tests import zygote
from tests.page.conftest import enter, serve
from tests.page.hand import Hand
from tests.server.conftest import free_ports

pytest.importorskip("starlette", reason="the extra 'page' is not installed")
pytest.importorskip("granian", reason="the extra 'server' is not installed")


@pytest.mark.program("a node that is served, and a page at another place")
def test_a_session_is_judged_and_verified_from_a_laptop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("DIADEM_CACHE", str(tmp_path / "cache"))
    (port,) = free_ports(1)
    url = f"https://127.0.0.1:{port}"
    write_session(tmp_path / "session")
    with diadem.Node.create(tmp_path / "node", name="boblab", user="bob", store=str(tmp_path / "store")) as node:
        package = node.archive(tmp_path / "session", now=True).package.id.removeprefix("diadem:")
    command = ["serve", "--listen", f"127.0.0.1:{port}", "--url", url, "--json", "--quiet", "--node"]
    with zygote.start(
        [sys.executable, "-m", "diadem", *command, str(tmp_path / "node")], stdout=subprocess.PIPE
    ) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline(), "it did not begin"
            with diadem.open_node(tmp_path / "node") as node:
                ticket = node.users.invite("carol").to_text()
                zygote.run([sys.executable, "-m", "diadem", "login", ticket], check=True)
                node.grant(package, "carol@boblab", ["read", "assess"])
            for served in serve(url):
                place = f"/session/{package}"
                hand = Hand(served, enter(served), start=place)
                page = hand.get(place)[1].decode()
                for offered in ("send", "judge", "files", "verify"):
                    assert f"{place}/{offered}" in page
                for elsewhere in ("correct", "give", "repair", "drop", "proof"):
                    assert f"{place}/{elsewhere}" not in page
                assert "Every byte is right." in hand.done(f"{place}/verify")
                said = {"seen": "0:", "verdict": "accept", "purpose": "EELS"}
                assert "Assessed: accept for EELS." in hand.done(f"{place}/judge", **said)
                assert hand.get(f"{place}/zip?file=0")[0] == 200
                status, _, text = hand.post(f"{place}/correct", seen="0:", reason="x", field="voltage", value="1 kV")
                assert (status, "needs the machine of the node boblab" in text) == (409, True)
        finally:
            server.terminate()
            server.wait(20)

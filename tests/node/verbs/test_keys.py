"""Private keys: permissions, a passphrase, the system's keyring; and the recovery file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import diadem
from diadem.errors import DiademError, Refused
from diadem.node.node import Node
from diadem.node.recovery_file import read_recovery
from tests.node.verbs.conftest import Lab


def _signers(node: Node, package: str) -> int:
    first = node.context.ledger.of_subject(package.removeprefix("diadem:"))[0]
    return len(first.signers)


@pytest.fixture
def secret_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    """A node whose first user holds a passphrase."""
    monkeypatch.delenv("DIADEM_PASSPHRASE", raising=False)
    node = diadem.Node.create(
        tmp_path / "node",
        name="n",
        user="alice",
        store=str(tmp_path / "main"),
        protection="passphrase",
        key_passphrase="correct horse",
    )
    yield node
    node.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps permissions otherwise")
def test_no_other_account_may_read_the_keys(lab: Lab) -> None:
    for path in (lab.node.path / "keys").rglob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o077 == 0, path
    assert (lab.root / "node-recovery.txt").stat().st_mode & 0o077 == 0


def test_a_key_with_a_passphrase_signs_only_where_it_is_given(
    secret_node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f.bin").write_text(name)
    assert _signers(secret_node, str(secret_node.archive(tmp_path / "one", now=True).package.id)) == 1
    monkeypatch.setenv("DIADEM_PASSPHRASE", "correct horse")
    assert _signers(secret_node, str(secret_node.archive(tmp_path / "two", now=True).package.id)) == 2
    monkeypatch.setenv("DIADEM_PASSPHRASE", "wrong")
    with pytest.raises(Refused, match="passphrase"):
        secret_node.context.keys.open("users/alice", protection="passphrase")


def test_the_recovery_file_opens_with_its_passphrase_only(tmp_path: Path) -> None:
    diadem.Node.create(
        tmp_path / "node", name="n", user="a", store=str(tmp_path / "main"), passphrase="battery staple"
    ).close()
    path = tmp_path / "node-recovery.txt"
    text = path.read_text("utf-8")
    assert "AGE-SECRET-KEY" not in text
    assert "BEGIN PRIVATE KEY" not in text
    for wrong in ("", "wrong"):
        with pytest.raises(Refused):
            read_recovery(path, wrong)
    printed = tmp_path / "printed.txt"  # typed in again, or scanned: indented, with other line ends
    printed.write_text("".join(f"   {line}\r\n" for line in text.splitlines()), "utf-8")
    assert read_recovery(printed, "battery staple").root.public.key_id in text


def test_a_passphrase_may_lie_in_the_systems_keyring(tmp_path: Path) -> None:
    keyring = pytest.importorskip("keyring", reason="the extra keyring is not installed")
    from keyring.backend import KeyringBackend

    class Memory(KeyringBackend):
        """A keyring as the library defines it, that forgets when the process ends."""

        priority = 1
        kept: dict[tuple[str, str], str] = {}  # noqa: RUF012

        def get_password(self, service: str, username: str) -> str | None:
            return self.kept.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            self.kept[service, username] = password

    before = keyring.get_keyring()
    keyring.set_keyring(Memory())  # type: ignore[no-untyped-call]
    try:
        node = diadem.Node.create(
            tmp_path / "node", name="n", user="alice", store=str(tmp_path / "main"), protection="keyring"
        )
        assert b"ENCRYPTED PRIVATE KEY" in (node.path / "keys/users/alice.pem").read_bytes()
        (tmp_path / "s").mkdir()
        (tmp_path / "s/f.bin").write_text("f")
        assert _signers(node, str(node.archive(tmp_path / "s", now=True).package.id)) == 2
        Memory.kept.clear()
        with pytest.raises(Refused, match="keyring has no passphrase"):
            node.context.keys.open("users/alice", protection="keyring")
        node.close()
    finally:
        keyring.set_keyring(before)


def test_a_new_key_counts_also_where_the_catalogue_could_not_follow(lab: Lab) -> None:
    """The log has its card: what is said from then on is signed by it, in the process that made it as well."""

    def rename(table: str, to: str) -> None:
        with closing(sqlite3.connect(lab.node.path / "catalogue.sqlite")) as connection:
            connection.execute(f"ALTER TABLE {table} RENAME TO {to}")

    before = lab.node.context.keys.open("online").public
    rename("statements", "elsewhere")
    with pytest.raises(DiademError, match="catalogue"):
        lab.node.keys.rotate(lab.root / "node-recovery.txt")
    rename("elsewhere", "statements")
    assert lab.node.context.keys.open("online").public != before
    assert lab.node.custody(lab.archived("s")).ok

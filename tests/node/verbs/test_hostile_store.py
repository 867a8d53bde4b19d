"""A store in which somebody else can write: it takes nothing from the node, and stops no archive."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyrage
import pytest
import tomlkit

import diadem
from diadem.custody.log_mirrors import Head, batch_key, head_key, pack_batch, read_head, unpack_batch
from diadem.errors import DiademError, Refused
from diadem.model.replicas import MISSING, PRESENT
from diadem.node.recover import recover_node
from diadem.node.recovery_file import open_keys, read_recovery, seal_keys
from diadem.node.watch.hand_in import Handed, HandInState
from diadem.trust.keys import PrivateKey
from tests.node.verbs.conftest import Lab

_LINKS = pytest.mark.skipif(os.name == "nt", reason="links need a right there that few accounts have")


def _garbage(path: Path) -> None:
    path.write_bytes(b"{{{")


def _nested(path: Path) -> None:
    path.write_bytes(b"[" * 200_000)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("store", ["main", "second"])
@pytest.mark.parametrize(
    "spoil", [_garbage, _nested, _folder, pytest.param(_pipe, marks=_LINKS), pytest.param(_link, marks=_LINKS)]
)
def test_a_spoilt_store_file_stops_no_archive(lab: Lab, spoil: Callable[[Path], None], store: str) -> None:
    lab.add_second()
    spoil(lab.root / store / ".diadem" / "store.json")
    other = "second" if store == "main" else "main"
    with lab.reopened() as node:
        archived = node.archive(lab.session("s"), now=True)
        assert [copy.store for copy in archived.copies] == [other]
        assert [debt.store for debt in archived.debts] == [store]
        node.status()


@pytest.mark.parametrize("spoil", [_garbage, lambda path: path.unlink()])
def test_a_store_that_lost_its_own_file_gets_it_again_when_a_person_says_which_it_is(
    lab: Lab, spoil: Callable[[Path], None]
) -> None:
    """Nobody else can know it; so its copies count again once they were read."""
    lab.add_second()
    package = lab.archived("s")
    spoil(lab.second / ".diadem" / "store.json")
    with lab.reopened() as node:
        assert not node.stores.ls()[1].reachable
        advice = next(one["next"] for one in node.doctor()["checks"] if "second does not answer" in one["message"])
        assert "diadem store move second" in advice
        node.stores.move("second", str(lab.second))
        copy = next(one for one in node.context.catalogue.replicas(package) if one.store == "second")
        assert (copy.state, copy.proven) == ("present", False)
        assert node.scrub("second").ok
        assert not [line for line in node.status().rules if line.mark == "broken"]


def test_another_folder_is_not_taken_for_a_store_that_lost_its_own_file(lab: Lab) -> None:
    lab.add_second()
    (lab.root / "empty").mkdir()
    with pytest.raises(Refused, match="is not the store 'second'"):
        lab.node.stores.move("second", str(lab.root / "empty"))
    with pytest.raises(Refused, match="is not the store 'second'"):
        lab.node.stores.move("second", str(lab.root / "main"))


@_LINKS
def test_a_store_with_links_in_its_own_folder_is_away(lab: Lab) -> None:
    lab.add_second()
    stage = lab.root / "main" / ".diadem" / "stage"
    shutil.rmtree(stage, ignore_errors=True)
    stage.symlink_to(lab.root)
    with lab.reopened() as node:
        assert [copy.store for copy in node.archive(lab.session("s"), now=True).copies] == ["second"]
        assert "link" in node.context.stores.why_away("main")


@_LINKS
def test_a_link_to_another_copy_is_no_copy_and_permits_no_drop(lab: Lab) -> None:
    lab.add_second()
    package = lab.archived("s")
    main, second = lab.path(package, "main"), lab.path(package, "second")
    policy = lab.root / "node" / "policy.toml"
    policy.write_text(policy.read_text("utf-8").replace("minimum = 2", "minimum = 1"), "utf-8")
    with lab.reopened() as node:
        second.rename(lab.root / "aside")
        second.symlink_to(main)
        with pytest.raises(Refused):
            node.drop(package, "main", reason="there is another")
        assert main.exists()
        states = {one.store: one.state for one in node.context.catalogue.replicas(package)}
        assert states == {"main": PRESENT, "second": MISSING}
        assert node.repair().ok
        assert {one.state for one in node.context.catalogue.replicas(package)} == {PRESENT}


@_LINKS
def test_an_incoming_folder_that_is_a_link_is_not_looked_into(lab: Lab) -> None:
    """It might lead to the node's keys, and what is handed in is archived where others can read it."""
    incoming = lab.root / "main" / "incoming"
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.symlink_to(lab.root / "node")
    (handed,) = lab.node.watch(once=True)
    assert isinstance(handed, Handed)
    assert handed.hand_in.state is HandInState.STRAY


def test_what_may_be_deleted_is_not_remembered_where_others_write(lab: Lab) -> None:
    before = set((lab.root / "main").rglob("*.json"))
    folder = lab.root / "main" / "incoming" / "session"
    folder.mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"a" * 5000)
    policy = lab.root / "node" / "policy.toml"
    text = policy.read_text("utf-8")
    document = tomlkit.parse(text)
    document.setdefault("archive", tomlkit.table())["quiet"] = "0 min"
    policy.write_text(tomlkit.dumps(document), "utf-8")
    with lab.reopened() as node:
        states = [handed.to_dict()["state"] for _ in range(3) for handed in node.watch(once=True)]
    assert states[-1] == HandInState.ARCHIVED
    new = set((lab.root / "main" / ".diadem").rglob("*.json")) - before
    assert not [path for path in new if "incoming" in path.parts]


def test_keys_that_somebody_exchanged_are_not_recovered(lab: Lab) -> None:
    """The recipient stands in the store, so that anybody can seal keys of his own for the recovery file."""
    lab.node.close()
    home = lab.root / "main" / ".diadem" / "nodes" / lab.node.id[:16]
    secret = read_recovery(Path(f"{lab.node.path}-recovery.txt"))
    files = open_keys((home / "identities.age").read_bytes(), secret.identity)
    for name in ("online.pem", "log.pem"):
        mine = {**files, name: PrivateKey.generate().to_pem(None)}
        (home / "identities.age").write_bytes(seal_keys(mine, secret.recipient))
        with pytest.raises(DiademError, match="is not the one that"):
            recover_node(lab.root / "again", str(lab.root / "main"), secret, reason="the disk is broken")
        assert not (lab.root / "again").exists()


def test_a_recovered_node_seals_its_keys_for_the_recovery_file_and_nobody_else(lab: Lab) -> None:
    lab.node.close()
    thief = pyrage.x25519.Identity.generate()
    home = lab.root / "main" / ".diadem" / "nodes" / lab.node.id[:16]
    document = tomlkit.parse((home / "node.toml").read_text("utf-8"))
    recovery_file = Path(str(document["recovery"]["file"]))
    document["recovery"]["recipient"] = str(thief.to_public())
    (home / "node.toml").write_text(tomlkit.dumps(document), "utf-8")
    secret = read_recovery(recovery_file)
    recover_node(lab.root / "again", str(lab.root / "main"), secret, reason="the disk is broken")
    with diadem.open_node(lab.root / "again") as node:
        assert node.context.settings.recovery_recipient == secret.recipient
        node.users.add("bob")
    sealed = (home / "identities.age").read_bytes()
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(sealed, [thief])
    assert pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(secret.identity)])


@pytest.mark.parametrize("epoch", [2, 700])
def test_an_epoch_that_nobody_signed_stops_no_archive(lab: Lab, epoch: int) -> None:
    node_id, key = lab.node.id, head_key(lab.node.id)
    lab.node.close()
    place = lab.root / "main" / ".diadem" / key
    head = Head.from_bytes(place.read_bytes())
    place.write_bytes(replace(head, epoch=epoch, size=9).to_bytes())
    with lab.reopened() as node:
        assert node.archive(lab.session("s"), now=True).what == "new"
        assert node.context.ledger.mirrors.pending() == 0
        found = read_head(node.context.stores.open("main"), node_id)
        assert found is not None
        assert (found.epoch, found.size) == (1, node.context.ledger.size)


def test_entries_that_nobody_signed_stop_no_archive_and_are_written_over(lab: Lab) -> None:
    size, checkpoint = lab.node.context.ledger.size, lab.node.context.ledger.checkpoint()
    lab.node.close()
    forged = lab.root / "main" / ".diadem" / batch_key(lab.node.id, 1, size)
    for text in ("a checkpoint", checkpoint):
        forged.write_bytes(pack_batch([b'{"x": 1}', b'{"y": 2}'], text))
        with lab.reopened() as node:
            assert node.archive(lab.session(f"s{len(text)}"), now=True).what == "new"
            assert node.context.ledger.mirrors.pending() == 0
            first = unpack_batch(forged.read_bytes(), "")[0][0]
            assert first == node.context.ledger.entry(size).line
            forged = lab.root / "main" / ".diadem" / batch_key(lab.node.id, 1, node.context.ledger.size)
            size = node.context.ledger.size

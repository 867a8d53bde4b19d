"""A node whose catalogue lies on a server: made so, moved there and back, and while the server is away."""

from __future__ import annotations

from pathlib import Path

import pytest

import diadem
from diadem.errors import Refused, Unreachable, UsageError
from tests.cli.inside import said, said_json
from tests.node.verbs.agreeing import memory, require_agreement
from tests.node.verbs.conftest import Lab
from tests.postgres_server import PostgresServer


def settings(lab: Lab) -> str:
    return (lab.node.path / "node.toml").read_text("utf-8")


def test_a_node_moves_to_a_server_and_back(lab: Lab, postgres_server: PostgresServer) -> None:
    """All that is known is the same in both places, and the stores hear where it is."""
    on = ("--node", lab.node.path)
    package = lab.archived("one")
    lab.node.reindex(into="file") if lab.node.context.settings.catalogue else None
    before = memory(lab.node)
    lab.node.close()
    assert said_json("reindex", "--into", postgres_server.database, *on)["packages"] == 1
    assert f"schema=diadem_{lab.node.context.settings.short_id}" in settings(lab)
    assert not list(lab.node.path.glob("catalogue.sqlite*"))
    mirrored = next((lab.root / "main" / ".diadem" / "nodes").rglob("node.toml"))
    assert "postgresql://" in mirrored.read_text("utf-8")
    with lab.reopened() as node:
        assert memory(node) == before
        with pytest.raises(Refused, match="is there already"):
            node.reindex(into=postgres_server.database)
        later = str(node.archive(lab.session("two"), now=True).package.id)
        require_agreement(node)
    attached = diadem.open_node(lab.root / "main")
    assert {row.id for row in attached.search()} == {package, later}, "the stores have their snapshot as a file"
    attached.close()
    said("reindex", "--into", "file", *on)
    assert "postgresql" not in settings(lab)
    with lab.reopened() as node:
        assert {row.id for row in node.search()} == {package, later}
        node.reindex(into=postgres_server.database)
        assert node.search("two").total == 1, "the former one was removed"


def test_a_place_that_is_taken_or_none(lab: Lab, postgres_server: PostgresServer) -> None:
    lab.archived("one")
    address = postgres_server.url("taken")
    with diadem.Node.create(
        lab.root / "other", name="other", user="bob", store=str(lab.root / "others"), catalogue=address
    ):
        with pytest.raises(Refused, match="another node's"):
            lab.node.reindex(into=address)
        for wrong in ("mysql://host/db", "somewhere", "postgresql://a:secret@host/db"):
            with pytest.raises(UsageError):
                lab.node.reindex(into=wrong)
    assert "secret" not in said("reindex", "--into", "postgresql://a:secret@host/db", "--node", lab.node.path, code=2)
    assert lab.node.search("one").total == 1


def test_a_recovery_of_a_whole_node_changes_nothing(lab: Lab, postgres_server: PostgresServer) -> None:
    lab.archived("one")
    lab.node.reindex(into=postgres_server.url("whole"))
    lab.node.close()
    recovery = ("--recover", lab.root / "main", "--recovery-file", f"{lab.node.path}-recovery.txt")
    assert "nothing is missing" in said("init", lab.node.path, *recovery)
    assert "postgresql" in settings(lab)


def test_while_the_server_is_away(lab: Lab, own_server: PostgresServer) -> None:
    """Nothing is written and it is said; what is in the log is caught up with; a file takes its place."""
    on = ("--node", lab.node.path)
    session = lab.session("one")
    lab.node.reindex(into=own_server.database)
    own_server.stop()
    with pytest.raises(Unreachable):
        lab.node.archive(session, now=True)
    lab.node.close()
    error = said_json("archive", session, "--now", *on, code=5)["error"]
    assert "reindex --into file" in error["next"]
    found = {check["name"]: check for check in said_json("doctor", *on, code=1)["checks"]}
    assert found["catalogue"]["verdict"] == "wrong"
    own_server.start()
    with lab.reopened() as node:
        assert node.context.follower.behind() == 0
        package = str(node.archive(session, now=True).package.id)
        require_agreement(node)
    own_server.stop()
    said("reindex", "--into", "file", *on)
    assert said_json("search", *on)["rows"][0]["id"] == package
    own_server.start()
    said("reindex", "--into", own_server.database, *on)
    with lab.reopened() as node:
        require_agreement(node)
        assert node.search().total == 1, "the former one, which nobody could remove, was replaced"


def test_a_node_is_made_on_a_server(tmp_path: Path, lab: Lab, postgres_server: PostgresServer) -> None:
    folder = tmp_path / "made"
    said(
        "init", folder, "--store", tmp_path / "its-store", "--name", "made", "--user", "carol",
        "--catalogue", postgres_server.database,
    )  # fmt: skip
    assert "postgresql://" in (folder / "node.toml").read_text("utf-8")
    assert not (folder / "catalogue.sqlite").exists()
    assert said_json("search", "--node", folder)["total"] == 0
    assert lab.node.search().total == 0

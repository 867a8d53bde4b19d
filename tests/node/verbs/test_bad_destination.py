"""A store that bends what it is given is a debt, and the next one is tried; the copies that were read stay present."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import diadem
from diadem.errors import IntegrityError, StoreError
from diadem.model.replicas import PRESENT, SUSPECT
from diadem.node.config import NodeSettings
from diadem.node.keep.copies import PackageCopies
from diadem.store.contract import Added
from diadem.store.folder import FolderStore
from tests.node.verbs.conftest import Lab, damage


class _Bending(MemoryFileSystem):  # type: ignore[misc]
    """A server that gives back another first byte of one file."""

    protocol = "bending"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    cachable = False

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        data: bytes = super().cat_file(path, start, end, **kwargs)
        return b"X" + data[1:] if "/data/scan 1" in path and not start else data


class _Bent(FolderStore):
    """A store that finds bytes wrong and does not say whose fault it is."""

    def add(self, *_: Any, **__: Any) -> Added:
        raise IntegrityError("the bytes are not what they should be", where="data/scan 1.bin")


@pytest.fixture
def bending(lab: Lab) -> Iterator[str]:
    """The address of such a server, which is a store of the node."""
    fsspec.register_implementation("bending", _Bending, clobber=True)
    url = f"bending://{lab.root.name}"
    lab.node.stores.add(url, name="cloud", place="cloud")
    yield url
    _Bending.store.clear()


def _states(lab: Lab, package: str) -> dict[str, str]:
    return {one.store: one.state for one in lab.node.context.catalogue.replicas(package)}


def _kinds(lab: Lab, package: str) -> list[str]:
    return [entry.statement.kind for entry in lab.node.context.ledger.of_subject(package[7:])]


@pytest.mark.usefixtures("bending")
def test_no_source_is_accused_of_what_a_server_gives_back(lab: Lab) -> None:
    archived = lab.node.archive(lab.session("s"), now=True)
    package = str(archived.package.id)
    (debt,) = archived.debts
    assert (debt.store, "returns different bytes" in debt.reason) == ("cloud", True)
    assert lab.node.repair().left == []
    assert _states(lab, package) == {"main": PRESENT}
    assert _kinds(lab, package) == ["ingest"]


@pytest.mark.usefixtures("bending")
def test_a_session_goes_to_the_next_store_where_the_first_bends_it(lab: Lab) -> None:
    session = lab.session("s")
    with pytest.raises(StoreError, match="returns different bytes"):
        lab.node.archive(session, now=True, store="cloud")
    lab.node.context.change_settings(_with_cold_main)  # so that the server is asked before it
    archived = lab.node.archive(session, now=True)
    assert [copy.store for copy in archived.copies] == ["main"]
    assert [debt.store for debt in archived.debts] == ["cloud"]
    assert archived.package.verify(level="full").ok


def _with_cold_main(settings: NodeSettings) -> NodeSettings:
    stores = [replace(one, kind="cold") if one.name == "main" else one for one in settings.stores]
    return replace(settings, stores=tuple(stores))


def test_a_source_is_read_again_before_it_is_accused(lab: Lab) -> None:
    package = lab.archived("s")
    lab.add_second()
    lab.node.context.stores.put("second", _Bent(lab.second))
    copies, (debt,) = PackageCopies(lab.node.context, package).replicate(["second"])
    assert (copies, "is whole, but did not arrive" in debt.reason) == ([], True)
    assert (_states(lab, package), _kinds(lab, package)) == ({"main": PRESENT}, ["ingest"])


def test_a_source_that_is_damaged_is_stated_with_what_was_found(lab: Lab) -> None:
    package = lab.archived("s")
    lab.add_second()
    damage(lab.path(package, "main") / "data/scan 2.bin")
    copies, (debt,) = PackageCopies(lab.node.context, package).replicate(["second"])
    assert (copies, "damaged" in debt.reason) == ([], True)
    assert _states(lab, package) == {"main": SUSPECT}
    said = list(lab.node.context.ledger.of_subject(package[7:]))[-1].statement.predicate
    assert [(one["path"], one["leaf"]) for one in said["findings"]] == [("data/scan 2.bin", 0)]
    assert not diadem.verify(lab.path(package, "main"), level="full").ok

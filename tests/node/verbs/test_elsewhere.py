"""What a search has found, in another process: rows and packages lead on there, by the node or by one of its stores."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import diadem
from tests.node.verbs.conftest import Lab

OTHER = """
import pickle, sys
held = pickle.load(open(sys.argv[1], "rb"))
print(eval(sys.argv[2]))
"""


def elsewhere(held: Any, expression: str, lab: Lab) -> str:
    """What an expression with `held` gives in another process."""
    path = lab.root / "held.pickle"
    path.write_bytes(pickle.dumps(held))
    command = [sys.executable, "-W", "ignore", "-c", OTHER, str(path), expression]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def scan(lab: Lab, shared_data: Path) -> str:
    """A session with one image, whose sample was corrected; its id."""
    folder = lab.root / "2026-03-14 S-12"
    folder.mkdir()
    shutil.copyfile(shared_data / "mrc" / "HAADFscan.mrc", folder / "scan.mrc")
    found = str(lab.node.archive(folder, now=True).package.id)
    lab.node.amend(found, {"sample.name": "S-13"})
    return found


def test_rows_and_packages_lead_on(lab: Lab, scan: str) -> None:
    found = lab.node.search()
    assert elsewhere(found, "held[0].package.id, held[0].load().data.shape", lab) == str((scan, (16, 16)))
    assert elsewhere(found[0].matched[0], "held.load().data.shape", lab) == "(16, 16)"
    assert elsewhere(found[0].dataset, "held.package.id", lab) == scan
    package = lab.node.get(scan)
    assert elsewhere(package, "held.record.sample['name'], held.custody.ok", lab) == "('S-13', True)"
    assert elsewhere(lab.node, "held.id, held.user", lab) == str((lab.node.id, lab.node.user))
    assert pickle.loads(pickle.dumps(found)).to_dict() == found.to_dict()


def test_a_node_that_was_sent_may_be_closed(lab: Lab, scan: str) -> None:
    sent, package = pickle.dumps(lab.node), pickle.loads(pickle.dumps(lab.node.get(scan)))
    with pickle.loads(sent) as first, pickle.loads(sent) as other:
        first.close()
        assert other.custody(scan).ok
        assert package.custody.ok
        with pytest.raises(diadem.errors.UsageError, match="closed") as caught:
            first.custody(scan)
    assert "recover" not in str(caught.value), "nothing is damaged"


def test_what_was_archived_just_now_is_given_by_the_node(lab: Lab) -> None:
    session = lab.session("S-12")
    first = lab.node.archive(session, now=True, metadata={"sample": {"name": "S-12"}}).package
    assert first.custody.ok
    assert elsewhere(first, "held.record.sample['name'], held.custody.ok", lab) == "('S-12', True)"
    lab.node.amend(first.id, {"sample.name": "S-13"})
    again = lab.node.archive(session, now=True).package
    assert (again.id, again.record.value("sample.name")) == (first.id, "S-13")


def test_where_only_the_store_can_be_reached(lab: Lab, scan: str) -> None:
    found, package = lab.node.search(), lab.node.get(scan)
    lab.node.close()
    lab.node.path.rename(lab.root / "another host's")
    try:
        assert elsewhere(found, "held[0].load().data.shape, held.source.units(['voltage'])", lab) == (
            "((16, 16), {'voltage': 'V'})"
        )
        assert elsewhere(package, "held.verify().ok, held.record.sample['name']", lab) == "(True, 'S-13')"
    finally:
        (lab.root / "another host's").rename(lab.node.path)


def test_a_lazy_signal_needs_no_node(lab: Lab, scan: str) -> None:
    signal = lab.node.get(scan).load("scan.mrc")
    total = str(float(signal.data.sum().compute()))
    lab.node.path.rename(lab.root / "another host's")
    try:
        assert elsewhere(signal, "float(held.data.sum().compute())", lab) == total
        assert elsewhere(signal.data, "float(held.sum().compute())", lab) == total
    finally:
        (lab.root / "another host's").rename(lab.node.path)


def test_another_copy_serves_where_the_first_is_gone(lab: Lab, scan: str) -> None:
    lab.add_second()
    lab.node.repair()
    signal = lab.node.get(scan).load("scan.mrc")
    total, sent = str(float(signal.data.sum().compute())), pickle.dumps(signal)
    shutil.move(lab.path(scan, "main"), lab.root / "gone")
    path = lab.root / "signal.pickle"
    path.write_bytes(sent)
    command = [sys.executable, "-W", "ignore", "-c", OTHER, str(path), "float(held.data.sum().compute())"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.stdout.strip() == total, done.stderr


def test_where_nothing_can_be_reached_it_says_why(lab: Lab, scan: str) -> None:
    sent = pickle.dumps(lab.node.get(scan))
    shutil.move(lab.root / "node", lab.root / "another host's")
    shutil.move(lab.root / "main", lab.root / "another disk")
    try:
        with pytest.raises(diadem.DiademError) as caught:
            pickle.loads(sent)
        assert caught.value.next
    finally:
        shutil.move(lab.root / "another host's", lab.root / "node")
        shutil.move(lab.root / "another disk", lab.root / "main")


def test_a_store_that_went_away_keeps_no_package_from_being_opened(lab: Lab, scan: str) -> None:
    """A node looks at the copies of a package for others who open it; one that is away is none of them."""
    lab.node.stores.add(str(lab.root / "second"), name="second", place="another disk")
    lab.node.repair()
    assert len(lab.node.get(scan).files) == 1
    (lab.root / "second").rename(lab.root / "unplugged")
    package = lab.node.get(scan)
    assert len(package.files) == 1
    assert elsewhere(package, "held.id", lab) == scan

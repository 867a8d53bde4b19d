"""What is found in a store and removed by somebody else before it is stated is never stated to be there."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import diadem
from diadem.errors import Refused
from diadem.model.ports import Progress
from diadem.store.folder import FolderStore
from tests.node.verbs.conftest import Lab

pytestmark = pytest.mark.catalogue


def test_a_copy_that_is_removed_before_it_is_stated(lab: Lab) -> None:
    source = lab.session("s")
    packed = diadem.pack(source, lab.root / "main")
    (stored,) = FolderStore(lab.root / "main").packages()
    read = threading.Event()

    def heard(progress: Progress) -> None:
        if progress.done == progress.total == 3:  # all files of the source were read once more
            read.set()

    with ThreadPoolExecutor(1) as others, lab.reopened() as node:
        with lab.node.context.locked(f"package-{stored.id.hex[:32]}"):
            archiving = others.submit(node.archive, source, now=True, listener=heard)
            assert read.wait(60)
            time.sleep(2)  # the copy that was found is read back, and the lock is waited for
            FolderStore(lab.root / "main").remove(stored.path)
        with pytest.raises(Refused, match="removed by somebody else"):
            archiving.result(60)
        assert not node.context.catalogue.has(packed.id)
        assert node.archive(source, now=True).what == "new"
        assert node.scrub().ok

"""Damage that is found by who verifies or opens a package of a node is known from then on; its step mends it."""

from __future__ import annotations

import diadem
from diadem.model.ports import Progress
from tests.cli.inside import said
from tests.node.verbs.conftest import Lab, damage


def step_of(text: str) -> list[str]:
    """The words of the first command after an arrow."""
    line = next(line for line in text.splitlines() if "→" in line)
    return line[line.index("diadem ") :].split()[1:]


def test_what_verify_finds_is_in_the_status_and_its_step_mends(lab: Lab) -> None:
    lab.add_second()
    package = lab.archived("s", size=3 << 20)
    damage(lab.path(package, "main") / "data/scan 1.bin", at=(2 << 20) + 5)
    text = said("verify", package, "--node", lab.node.path, code=1)
    with diadem.open_node(lab.node.path) as node:
        assert [(one.store, one.state) for one in node.context.catalogue.replicas(package)] == [
            ("main", "suspect"),
            ("second", "present"),
        ]
    assert package[7:19] in said("status", "--node", lab.node.path, code=1)
    step = step_of(text)
    assert step == ["repair", "--node", str(lab.node.path), package[7:19]]
    said(*step, "--node", lab.node.path)
    assert said("verify", package, "--node", lab.node.path).startswith("intact")
    with diadem.open_node(lab.node.path) as node:
        assert {one.state for one in node.context.catalogue.replicas(package)} == {"present"}


def test_it_is_stated_once_and_a_new_catalogue_knows_it(lab: Lab) -> None:
    package = lab.archived("s")
    damage(lab.path(package, "main") / "data/scan 1.bin")
    found = lab.node.get(package)
    for _ in range(2):
        report = found.verify()
        assert not report.ok
    assert sum(step.kind == "fixity" for step in lab.node.custody(package).steps) == 1
    lab.node.reindex()
    assert [one.state for one in lab.node.context.catalogue.replicas(package)] == ["suspect"]


def test_what_does_not_belong_there_is_set_aside_by_its_step(lab: Lab) -> None:
    package = lab.archived("s")
    folder = lab.path(package, "main") / "data"
    folder.chmod(0o755)
    (folder / "stray.txt").write_text("mine", "utf-8")
    step = step_of(said("verify", package, "--node", lab.node.path, code=1))
    assert step == ["repair", "--node", str(lab.node.path), package[7:19], "--set-aside"]
    said(*step, "--node", lab.node.path, code=None)  # the policy may still want another copy
    assert said("verify", package, "--node", lab.node.path).startswith("intact")


def test_tag_files_that_do_not_agree_are_known_from_then_on(lab: Lab) -> None:
    package = lab.archived("s")
    damage(lab.path(package, "main") / "manifest-sha256.txt", at=5)
    assert "diadem status" in said("verify", package, "--node", lab.node.path, code=None)
    assert package[7:19] in said("status", "--node", lab.node.path, code=1)
    with diadem.open_node(lab.node.path) as node:
        assert [one.state for one in node.context.catalogue.replicas(package)] == ["suspect"]


def test_a_copy_that_was_put_right_while_it_was_read_is_not_accused(lab: Lab) -> None:
    package = lab.archived("s", files=3)
    file = lab.path(package, "main") / "data/scan 1.bin"
    whole = file.read_bytes()
    damage(file)

    def put_right(progress: Progress) -> None:
        if progress.done == progress.total:
            file.chmod(0o644)
            file.write_bytes(whole)

    report = lab.node.get(package).verify(listener=put_right)
    assert [one.path for one in report.findings] == ["data/scan 1.bin"], "it is told what was read"
    assert f"diadem verify {package[7:19]}" in str(report.findings[0].next)
    assert [one.state for one in lab.node.context.catalogue.replicas(package)] == ["present"]
    assert not any(step.kind == "fixity" for step in lab.node.custody(package).steps)
    damage(file)
    assert not lab.node.get(package).verify().ok
    assert [one.state for one in lab.node.context.catalogue.replicas(package)] == ["suspect"]

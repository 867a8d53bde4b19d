"""`diadem init` as somebody answers it who has read nothing: each answer is judged at once, and none is lost."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import diadem

pty = pytest.importorskip("pty", reason="Windows has another terminal")


class Terminal:
    """A program at a terminal."""

    def __init__(self, *words: object, home: Path) -> None:
        self._own, theirs = pty.openpty()
        command = [sys.executable, "-m", "diadem", *map(str, words)]
        variables = {name: text for name, text in os.environ.items() if not name.startswith("DIADEM_")}
        variables |= {"HOME": str(home), "DIADEM_CONFIG": str(home / "config")}
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=variables, cwd=home, start_new_session=True
        )
        os.close(theirs)
        self.text = ""

    def until(self, words: str, patience: float = 30) -> str:
        """What comes until these words are there."""
        end, begun = time.monotonic() + patience, len(self.text)
        while words not in self.text[begun:]:
            ready = select.select([self._own], [], [], max(0.0, end - time.monotonic()))[0]
            assert ready, self.text
            try:
                data = os.read(self._own, 4096)
            except OSError:
                data = b""
            assert data, self.text
            self.text += data.decode("utf-8", "replace").replace("\r\n", "\n")
        return self.text[begun:]

    def answers(self, question: str, answer: str) -> str:
        """Wait for a question and answer it."""
        found = self.until(question)
        while not self.text.endswith(": "):
            found += self.until(" ")
        os.write(self._own, f"{answer}\n".encode())
        return found

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        os.close(self._own)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    found = Terminal("init", home=tmp_path)
    yield found
    found.close()


def test_each_answer_is_judged_at_once(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("…", "utf-8")
    (tmp_path / "a file").write_text("mine")
    terminal.answers("Folder for the node", str(tmp_path / "thesis"))
    assert "the folder has content" in terminal.answers("Folder for the node", str(tmp_path / "node"))
    terminal.answers("packages go", str(tmp_path / "a file"))
    assert "this is a file" in terminal.answers("packages go", str(tmp_path / "node" / "store"))
    assert "must not be inside each other" in terminal.answers("packages go", str(tmp_path / "store"))
    terminal.answers("is this archive called", "My Group (Köln)")
    found = terminal.answers("is this archive called", "")
    assert "'My Group (Köln)' cannot be the name of a node" in found
    assert "[my-group-koeln]" in found
    terminal.answers("short name", "Anna Müller")
    assert "[anna-mueller]" in terminal.answers("short name", "anna")
    terminal.answers("full name", "Anna Müller")
    found = terminal.answers("Passphrase for the recovery file", "")
    assert "if this machine is lost" in found
    rest = terminal.until("At any time")
    assert "Once more" not in rest
    assert terminal.process.wait(timeout=60) == 0
    with diadem.open_node(tmp_path / "node") as node:
        assert (node.name, [(user.name, user.full_name) for user in node.users]) == (
            "my-group-koeln",
            [("anna", "Anna Müller")],
        )


@pytest.mark.program("age makes each try of a passphrase slow, on purpose")
def test_a_passphrase_is_asked_for_twice(tmp_path: Path) -> None:
    words = ("init", tmp_path / "n", "--store", tmp_path / "s", "--name", "n", "--user", "u")
    terminal = Terminal(*words, home=tmp_path)
    try:
        terminal.answers("Passphrase for the recovery file", "correct horse")
        terminal.answers("Once more", "correct house")
        assert "not the same" in terminal.answers("Passphrase for the recovery file", "correct horse")
        terminal.answers("Once more", "correct horse")
        terminal.until("At any time")
        assert "AGE ENCRYPTED FILE" in (tmp_path / "n-recovery.txt").read_text("utf-8")
    finally:
        terminal.close()


def test_what_was_given_is_judged_before_the_first_question(tmp_path: Path) -> None:
    diadem.Node.create(tmp_path / "one", name="one", user="eve", store=str(tmp_path / "store")).close()
    at = Terminal("init", tmp_path / "two", "--store", tmp_path / "store", home=tmp_path)
    try:
        found = at.until("next:")
        assert "is this archive called" not in found
        assert at.process.wait(timeout=60) == 4
    finally:
        at.close()

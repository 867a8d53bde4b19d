"""A shell completes commands, their groups and their options."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

BASH = shutil.which("bash")
pytestmark = pytest.mark.skipif(os.name == "nt" or BASH is None, reason="this machine has no bash")


class Terminal:
    """A bash that a person types into, with the completion of `diadem` switched on as the documentation says."""

    def __init__(self, folder: Path) -> None:
        import pty

        program = folder / "diadem"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m diadem "$@"\n')
        program.chmod(0o755)
        self._hand, screen = pty.openpty()
        environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "TERM": "dumb", "PS1": "> "}
        assert BASH is not None
        self._shell = subprocess.Popen(
            [BASH, "--norc", "--noprofile", "-i"], stdin=screen, stdout=screen, stderr=screen, env=environment
        )
        os.close(screen)
        self.type('eval "$(_DIADEM_COMPLETE=bash_source diadem)"; echo rea""dy\n', until="ready")

    def type(self, keys: str, *, until: str) -> str:
        """Type keys, and read until the terminal shows a text."""
        os.write(self._hand, keys.encode())
        shown, end = "", time.monotonic() + 120
        while until not in shown:
            assert select.select([self._hand], [], [], max(0, end - time.monotonic()))[0], shown
            shown += os.read(self._hand, 4096).decode(errors="replace")
        return shown

    def close(self) -> None:
        """Hang up."""
        self._shell.kill()
        self._shell.wait()
        os.close(self._hand)


def test_bash_completes_commands_groups_and_options(tmp_path: Path) -> None:
    (tmp_path / "a-session").mkdir()
    terminal = Terminal(tmp_path)
    try:
        terminal.type("diadem cust\t", until="diadem custody ")
        terminal.type("\x15diadem peer comp\t", until="diadem peer compromised ")
        terminal.type("\x15diadem search --fac\t", until="diadem search --facets ")
        for words in ("verify", "pack", "status --node", "archive --meta"):
            terminal.type(f"\x15diadem {words} {tmp_path}/a-ses\t", until="a-session")
    finally:
        terminal.close()

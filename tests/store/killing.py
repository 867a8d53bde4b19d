"""Killing a process that works on a store, at a moment of its work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests import zygote


def killed(verb: str, url: str, options: Mapping[str, Any] | None, moment: float) -> bool:
    """Start `tests.store.adder`, kill it some seconds after its work began; whether it said that it was done."""
    command = [sys.executable, "-m", "tests.store.adder", verb, url, json.dumps(options)]
    checkout = Path(__file__).resolve().parents[2]
    with zygote.start(command, cwd=checkout, env=os.environ, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(moment)
        process.kill()
        return "done" in process.stdout.read()

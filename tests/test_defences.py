"""The machine of faults switches defences off by their text: where the text has moved, it would prove nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_EACH = """
from node_faults.sabotage import DEFENCES, weakened
for defence in DEFENCES:
    for file, text in weakened(defence).items():
        compile(text, file, "exec")
print(len(DEFENCES))
"""


def test_every_defence_can_be_switched_off() -> None:
    checkout = Path(__file__).resolve().parent.parent
    environment = {**os.environ, "PYTHONPATH": f"{checkout / 'benchmarks'}{os.pathsep}{checkout}"}
    done = subprocess.run([sys.executable, "-c", _EACH], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 20

"""Does cases, one after the other, and tells each as one JSON object a line.

``python -m node_faults.worker WORK FIRST STEP COUNT [KIND]`` does the cases FIRST, FIRST + STEP, … COUNT of them. Which
DIADEM it tries is a matter of PYTHONPATH.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from node_faults.laboratory import Laboratory
from node_faults.running import run_case


def main(work: str, first: str, step: str, count: str, kind: str = "") -> None:
    """Make the laboratory, do the cases, tell each."""
    laboratory = Laboratory(Path(work))
    try:
        laboratory.make()
        for number in range(int(count)):
            outcome = run_case(laboratory, int(first) + number * int(step), kind or None)
            print(json.dumps(outcome.to_dict()), flush=True)
    finally:
        laboratory.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

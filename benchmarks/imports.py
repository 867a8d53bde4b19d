"""How long `import diadem` and `diadem --help` take, in fresh interpreters."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
from functools import partial

import machine
from tables import parser, workplace, write
from timing import Contender, interleave, run

COMMANDS = {
    "python": [sys.executable, "-c", "pass"],
    "import diadem": [sys.executable, "-c", "import diadem"],
    "diadem --help": [
        sys.executable,
        "-c",
        "import sys; sys.argv[1:] = ['--help']; from diadem.cli.main import run; run()",
    ],
}
#: Aims in milliseconds; the import without the interpreter's own start.
AIMS = {"import diadem": 100, "diadem --help": 300}


def import_time() -> float:
    """Milliseconds of `import diadem` as the interpreter counts them."""
    told = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import diadem"], capture_output=True, text=True, check=True
    ).stderr
    found = re.search(r"\|\s*(\d+) \| diadem$", told, re.MULTILINE)
    if found is None:
        raise RuntimeError("the interpreter's import times do not name diadem")
    return int(found[1]) / 1000


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, keep."""
    chosen = parser(__doc__).parse_args(arguments)
    contenders = [Contender(name, partial(run, command)) for name, command in COMMANDS.items()]
    series = interleave(contenders, max(3, chosen.rounds))
    walls = {name: one.median * 1000 for name, one in series.items()}
    inside = statistics.median(import_time() for _ in range(max(3, chosen.rounds)))
    figures = {"import diadem": inside, "diadem --help": walls["diadem --help"]}
    print("| what | ms | aim ms | met |\n|---|---|---|---|")
    for name, value in figures.items():
        print(f"| {name} | {value:.0f} | < {AIMS[name]} | {'yes' if value < AIMS[name] else '**no**'} |")
    print(f"| interpreter alone (wall) | {walls['python']:.0f} | | |")
    print(f"| `python -c 'import diadem'` (wall) | {walls['import diadem']:.0f} | | |")
    with workplace(chosen.work) as work:
        document = {"machine": machine.describe(work), "milliseconds": figures, "walls": walls}
    write(chosen.report, document)
    return 0


if __name__ == "__main__":
    sys.exit(main())

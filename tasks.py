"""One plain door for the project's tasks: `python tasks.py [task …]`."""

from __future__ import annotations

import subprocess
import sys

#: Import Linter is no module that can be run: `python -m importlinter.cli` ends well, and has looked at nothing.
_LAYERS = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"

#: What each is for, and what Python is given for it.
TASKS: dict[str, tuple[str, list[list[str]]]] = {
    "lint": (
        "style and formatting",
        [["-m", "ruff", "check", "."], ["-m", "ruff", "format", "--check", "."]],
    ),
    "layers": ("the direction of imports", [["-c", _LAYERS]]),
    "types": ("mypy, strict", [["-m", "mypy"]]),
    "site": (
        "the site of documentation into build/site, warnings as errors",
        [["-m", "sphinx", "-qEW", "--keep-going", "-j", "auto", "-c", "docs", ".", "build/site"]],
    ),
    "map": ("docs/architecture.md, from the code", [["-m", "docs.site.architecture"]]),
    "notebooks": (
        "run the notebooks whose code has changed, and keep their outputs in them",
        [["-m", "tests.notebook.outputs"]],
    ),
    "test": ("the tests", [["-m", "pytest"]]),
    "program": ("the tests of whole programs and in a browser", [["-m", "pytest", "-m", "program or browser"]]),
    "postgresql": ("the tests of a PostgreSQL server itself", [["-m", "pytest", "-m", "postgresql"]]),
    "wheel": ("build the wheel and the source distribution into dist/", [["-m", "build"]]),
    "bench": (
        "the benchmarks, small; see benchmarks/README.md for the full size",
        [["-m", "benchmarks.run", "--scale", "0.05"]],
    ),
}
ALL = ("lint", "layers", "types", "site", "test")


def main(arguments: list[str]) -> int:
    """Run tasks in the order given; stop at the first that fails."""
    names = [name for argument in arguments for name in (ALL if argument == "all" else (argument,))]
    unknown = [name for name in names if name not in TASKS]
    if unknown or not names:
        for name, (purpose, _) in TASKS.items():
            print(f"{name:10} {purpose}")
        print(f"{'all':10} {', '.join(ALL)}")
        return 2 if unknown else 0
    for name in names:
        for command in TASKS[name][1]:
            if code := subprocess.call([sys.executable, *command]):
                return code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

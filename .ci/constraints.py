"""The tested set for services: what is installed here of DIADEM's dependencies and of theirs, one version a line.

Run where all tests have passed: ``python .ci/constraints.py > constraints.txt``. `build` brings `packaging`.
"""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HEAD = """\
# Versions with which all tests have passed together (Python {python}, {platform}). For services:
#   python -m pip install -c constraints.txt ".[server]"
# Made by: python .ci/constraints.py > constraints.txt
"""
#: Extras of what runs; those of tests and development are nobody's service.
EXTRAS = ("formats", "s3", "sftp", "postgres", "keyring", "server", "dask")


def installed() -> dict[str, str]:
    """Version by name, of all that the base and the extras need."""
    project = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    waiting = [
        Requirement(line) for line in (*project["dependencies"], *(one for key in EXTRAS for one in extras[key]))
    ]
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        for extra in {"", *wanted.extras}:
            key = (canonicalize_name(wanted.name), extra)
            if key in seen:
                continue
            seen.add(key)
            try:
                there = distribution(wanted.name)
            except PackageNotFoundError:
                sys.exit(f"{wanted} is not installed: install it, and run this again")
            found[key[0]] = there.version
            needed = map(Requirement, there.requires or ())
            waiting += [one for one in needed if one.marker is None or one.marker.evaluate({"extra": extra})]
    return found


if __name__ == "__main__":
    version = ".".join(map(str, sys.version_info[:2]))
    lines = [f"{name}=={number}\n" for name, number in sorted(installed().items())]
    sys.stdout.write(HEAD.format(python=version, platform=sys.platform) + "".join(lines))

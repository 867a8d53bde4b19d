"""Peers that judge what DIADEM writes, each run as its own process: roc-validator, bagit.py, sha256sum."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from requests.structures import CaseInsensitiveDict
from requests_cache.models.request import CachedRequest
from requests_cache.models.response import CachedResponse
from requests_cache.session import CachedSession

#: The JSON-LD context of each version of RO-Crate; `tests/data/README.md` says where they are from.
CONTEXT_FILES = {
    version: Path(__file__).parent / "data" / f"ro-crate-{version}-context.jsonld" for version in ("1.1", "1.2")
}
CONTEXT_FILE = CONTEXT_FILES["1.2"]
CONTEXT_URL = "https://w3id.org/ro/crate/{version}/context"

#: roc-validator itself. It asks some questions of every entity, and rdflib would parse them anew for each: most of its
#: time. Prepared queries, which rdflib has for this, are used instead; what is asked and answered stays the same.
_VALIDATOR = """
from rdflib.plugins.sparql import processor

parse, translate, prepared = processor.parseQuery, processor.translateQuery, {}

def prepare(text, base=None, namespaces=None):
    key = text, base, tuple(sorted((namespaces or {}).items()))
    if key not in prepared:
        prepared[key] = translate(parse(text), base, namespaces)
    return prepared[key]

processor.parseQuery, processor.translateQuery = str, prepare

from rocrate_validator.cli import cli
cli()
"""


def validate_crate(bag_or_data_dir: Path, *, version: str = "1.2") -> list[str]:
    """Run roc-validator on a bag or a payload directory, without network.

    Returns
    -------
    list of str
        One line for each issue of severity REQUIRED against the profile of RO-Crate; empty if it conforms.
    """
    data = bag_or_data_dir / "data" if (bag_or_data_dir / "bagit.txt").is_file() else bag_or_data_dir
    with tempfile.TemporaryDirectory() as folder:
        cache, report = Path(folder) / "http-cache", Path(folder) / "report.json"
        _prime(cache)
        options = ["--offline", "--cache-path", str(cache), "-p", f"ro-crate-{version}", "-l", "REQUIRED"]
        output = ["--verbose", "--no-paging", "-f", "json", "-o", str(report)]
        run = _run([sys.executable, "-c", _VALIDATOR, "-y", "validate", *options, *output, str(data)])
        if not report.is_file():
            raise RuntimeError(f"roc-validator wrote no report (exit code {run.returncode}):\n{run.stdout}{run.stderr}")
        outcome = json.loads(report.read_text(encoding="utf-8"))
    issues = [_issue_line(issue) for issue in outcome["issues"]]
    if outcome["passed"] != (not issues) or outcome["passed"] != (run.returncode == 0):
        raise RuntimeError(f"roc-validator contradicts itself: exit code {run.returncode}, {outcome}")
    return issues


def bagit_validate(bag: Path) -> list[str]:
    """Run ``bagit.py --validate``; its complaints, empty if the bag is valid."""
    run = _run([sys.executable, "-m", "bagit", "--validate", str(bag)])
    return [] if run.returncode == 0 else _complaints(run)


def sha256sum_check(bag: Path) -> list[str]:
    """Run ``sha256sum -c`` on both manifests; its complaints, empty if every file is as listed."""
    program = shutil.which("sha256sum")
    if program is None:
        pytest.skip("this system has no sha256sum")
    found = []
    for manifest in ("tagmanifest-sha256.txt", "manifest-sha256.txt"):
        run = _run([program, "--check", "--strict", "--quiet", manifest], folder=bag)
        found += [] if run.returncode == 0 else _complaints(run)
    return found


def _prime(cache: Path) -> None:
    """Put the contexts where roc-validator's offline mode looks for them: its own HTTP cache."""
    session = CachedSession(cache_name=str(cache), backend="sqlite", expire_after=-1)
    headers = CaseInsensitiveDict({"Content-Type": "application/ld+json"})
    for version, file in CONTEXT_FILES.items():
        url = CONTEXT_URL.format(version=version)
        request = CachedRequest(method="GET", url=url)
        response = CachedResponse(url=url, status_code=200, headers=headers, request=request)
        response._content = file.read_bytes()
        session.cache.save_response(response, session.cache.create_key(request))
    session.close()  # type: ignore[no-untyped-call]


def _issue_line(issue: dict[str, object]) -> str:
    return " | ".join(str(issue[key]) for key in ("severity", "message", "violatingEntity") if issue.get(key))


def _run(command: list[str], *, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, check=False, cwd=folder, capture_output=True, encoding="utf-8", errors="replace", timeout=300
    )


def _complaints(run: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in (run.stdout + run.stderr).splitlines() if line.strip()] or [f"exit code {run.returncode}"]

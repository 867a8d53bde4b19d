"""One row for each value that a dataset states, with its unit, and the file that it stands for."""

import csv
import hashlib

HEAD = ["package", "dataset", "field", "value", "unit", "status", "sha256"]


def export(source, target, *, digits):
    """Write the table; see `diadem.hooks.exporters`."""
    with target.path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(HEAD)
        for number, package in enumerate(source.packages):
            source.progress(number, len(source.packages), package.facts.name)
            for dataset in package.datasets:
                digest = proven(package, dataset.path)
                for key in sorted(dataset.fields):
                    said = dataset.assertion(key)
                    if said is not None:
                        value = f"{said.value:.{digits}g}" if isinstance(said.value, float) else said.value
                        table.writerow([package.id, dataset.path, key, value, said.unit, said.status, digest])
    return {"rows": "one for each value that a dataset states"}


def proven(package, name):
    """The digest of a file as it is now: reading it proves it."""
    digest = hashlib.sha256()
    with package.open(name) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()

"""The README in the root of a store, for someone who has never heard of DIADEM."""

from __future__ import annotations


def readme(node: str) -> str:
    """Plain text, ASCII, readable in any editor for as long as there are editors."""
    return _TEXT.format(node=node)


_TEXT = """\
This folder is an archive of microscope data ({node}).
======================================================

You need no special program to find, check and read what is in it.

FIND
  One folder a session, by year:   2026/20260314-zno-s12-1f0c9a77d2e4/
  Open   data/ro-crate-preview.html   in a web browser: it shows pictures, what was measured and how.
  The files as the microscope wrote them lie beside it, in   data/

CHECK, that nothing has changed since it was archived; in the session's folder, both lines
  Linux    sha256sum -c --quiet tagmanifest-sha256.txt
           sha256sum -c --quiet manifest-sha256.txt
           No output is good news: every file is as it was. A file that changed is named, with FAILED.
  macOS    shasum -a 256 -c tagmanifest-sha256.txt
           shasum -a 256 -c manifest-sha256.txt
           Every file is named, with OK or FAILED.
  Windows  in PowerShell, for one file:   Get-FileHash data\\scan.dm4
           and compare it with the line of that file in manifest-sha256.txt; that file's own line
           is in tagmanifest-sha256.txt.
  A session whose folder has no tagmanifest-sha256.txt was never finished, and is not an archive.

READ
  data/diadem-record.json      all that is known about the session, as JSON
  data/ro-crate-metadata.json  the same in the terms of RO-Crate (https://w3id.org/ro/crate)
  bagit.txt, bag-info.txt ...  the folder is a BagIt bag (RFC 8493); every BagIt program can check it
  diadem/                      check sums of each mebibyte, original names, and the metadata of the vendor's files

  A name such as   100_ Zn #1~23233cb3.dm3   was another one that not every system can hold: each forbidden character
  became _, and ~ with eight digits was added. The name as it was stands in the last column of diadem/index.tsv, where
  %3A and the like are bytes in hexadecimal.
  A session that grew has several folders. The later ones hold only what was new or changed then; their bag-info.txt
  says   Diadem-Continues:   and which it continues: the SHA-256 of that folder's tagmanifest-sha256.txt. To put the
  session together, copy the files of data/ from the oldest folder to the newest, each over those before.

HAND IN
  A folder that you copy into   incoming/   is archived once nobody has changed it for a while, if the archive watches.
  Until then it is not archived: keep your own copy. What is in incoming/ itself is no archive, and cannot be checked.

COPY IT WHOLE. Copy a session's folder with everything in it; do not rename, add or remove files in it.
Please do not move or delete folders here by hand: the archive counts its copies.

The folder  .diadem  belongs to the program: a log of who gave what to whom, signed, and lists to find things fast.
The program is free: DIADEM, in Python,   pip install diadem-em
"""

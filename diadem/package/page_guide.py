"""What the page tells a person who has never heard of DIADEM: how to check, what each file is, how to open one."""

from __future__ import annotations

import html

from diadem.model.facts import PackageFacts
from diadem.model.manifest import INDEX_PATH, LEAVES_PATH, MANIFEST, TAGMANIFEST, VENDOR_PATH

#: Windows PowerShell 4 and later. `-LiteralPath` because names may hold [ and ]; `-split` with 2 because they may hold
#: two spaces; UTF8 because 5.1 would read the system's code page.
POWERSHELL = rf"""$bad = 0
foreach ($list in '{TAGMANIFEST}', '{MANIFEST}') {{
  foreach ($line in Get-Content -LiteralPath $list -Encoding UTF8) {{
    $want, $path = $line -split '  ', 2
    $have = ''
    if (Test-Path -LiteralPath $path -PathType Leaf) {{
      $have = (Get-FileHash -LiteralPath $path -Algorithm SHA256).Hash
    }}
    if ($have -ne $want) {{ $bad++; "NOT AS ARCHIVED: $path" }}
  }}
}}
"$bad files are not as archived"
(Get-ChildItem -LiteralPath data -Recurse -File -Force | Measure-Object).Count
(Get-Content -LiteralPath {MANIFEST} -Encoding UTF8 | Measure-Object).Count
(Get-FileHash -LiteralPath {TAGMANIFEST} -Algorithm SHA256).Hash.ToLower()"""
MACOS = f"""shasum -a 256 -c {TAGMANIFEST}
shasum -a 256 -c {MANIFEST}
find data -type f | wc -l; wc -l < {MANIFEST}
shasum -a 256 {TAGMANIFEST}"""
LINUX = f"""sha256sum -c {TAGMANIFEST}
sha256sum -c {MANIFEST}
find data -type f | wc -l; wc -l < {MANIFEST}
sha256sum {TAGMANIFEST}"""

_WINDOWS_STEPS = (
    "Open the folder that holds <code>bagit.txt</code> in Explorer. It is the one above this page.",
    "Type <code>powershell</code> in the address bar and press Enter.",
    "Paste these lines and press Enter, once more if <code>&gt;&gt;</code> appears:",
)
_SHELL_STEPS = (
    "Open a terminal in the folder that holds <code>bagit.txt</code>. It is the one above this page.",
    "Run:",
)
_MACOS_STEPS = (
    (
        "Open Terminal, type <code>cd</code> and a space, drag the folder that holds <code>bagit.txt</code> (it is the "
        "one above this page) into the window and press Enter."
    ),
    "Run:",
)
_FILES = (
    ("data/", "The files as the instrument wrote them, with their names and folders."),
    ("data/diadem-record.json", "The extended metadata: every value with its unit and where it was found. JSON."),
    ("data/ro-crate-metadata.json", "The same in the vocabulary of RO-Crate 1.2, for repositories. JSON-LD."),
    ("data/ro-crate-preview.html", "This page."),
    (MANIFEST, "The SHA-256 of every file in data. Text, made for sha256sum."),
    (TAGMANIFEST, "The SHA-256 of the files beside data. Its own SHA-256 is the package id."),
    ("bagit.txt, bag-info.txt", "Say that this is a BagIt 1.0 bag (RFC 8493), when it was made and how large it is."),
    (INDEX_PATH, "Size, time and original name of every file. Text, separated by tabs."),
    (LEAVES_PATH, "A BLAKE3 digest for every mebibyte, so that damage can be found and mended piece by piece."),
    (VENDOR_PATH, "The instrument makers' own metadata blocks, as they were."),
)


def check_html() -> str:
    """How to check the package with what every computer has."""
    windows = (
        f"{_steps(_WINDOWS_STEPS, POWERSHELL)}<p>For one file, <code>certutil -hashfile "
        f"&quot;data\\my scan.dm4&quot; SHA256</code> prints its SHA-256; compare it with the file’s line in"
        f" <code>{MANIFEST}</code>. If the folder lies so deep that paths exceed 260 characters, copy it to a short"
        f" path such as <code>C:\\check</code> first.</p>\n"
    )
    return (
        "<section>\n<h2>How to check this package without DIADEM</h2>\n"
        "<p>Every file has a SHA-256 digest in one of two lists. Compute the digests again: if they are equal, the "
        "files are, byte for byte, what was archived.</p>\n"
        f'<div class="guides">\n{_guide("Windows", windows)}{_guide("macOS", _steps(_MACOS_STEPS, MACOS))}'
        f"{_guide('Linux', _steps(_SHELL_STEPS, LINUX))}</div>\n"
        "<p><strong>What you should see.</strong> On macOS and Linux every line ends with <code>OK</code>; on Windows"
        " the count of files that are not as archived is 0. The two numbers after that are equal: then no file was"
        " added to <code>data</code>. The last line, 64 characters, is the <strong>package id</strong>: compare it with"
        " the <code>diadem:…</code> that you were given by another way. It is the only thing to trust; whoever could"
        " change the files could also change the lists and this page.</p>\n</section>\n"
    )


def _guide(system: str, content: str) -> str:
    return f'<div class="panel"><h3>{system}</h3>\n{content}</div>\n'


def _steps(steps: tuple[str, ...], commands: str) -> str:
    items = "".join(f"<li>{step}</li>" for step in steps)
    return f"<ol>{items}</ol>\n<pre><code>{html.escape(commands)}</code></pre>\n"


def custody_html() -> str:
    """Where custody is, since it cannot be here."""
    return (
        "<section>\n<h2>Who gave it to whom</h2>\n<p>A package never changes, so it cannot hold its own history. Who"
        " archived it, who received it and when it was last checked is kept, signed, in the log of the archive. Where a"
        " DIADEM node holds the package,</p>\n<pre><code>diadem custody PACKAGE-ID</code></pre>\n<p>tells it in plain"
        " words, with the package id from the check above.</p>\n</section>\n"
    )


def files_html() -> str:
    """What each file of the package is."""
    rows = "".join(
        f'<tr><th scope="row"><code>{name}</code></th><td>{html.escape(text)}</td></tr>' for name, text in _FILES
    )
    return (
        '<section>\n<h2>What is in the package</h2>\n<div class="scroll"><table class="list"><tbody>'
        f"{rows}</tbody></table></div>\n</section>\n"
    )


def python_html(facts: PackageFacts) -> str:
    """How to open a dataset in Python, with the name of one that is here."""
    code = (
        "import diadem\n\n"
        'package = diadem.open("the folder that holds bagit.txt")\n'
        f"signal = package.load({_example(facts)})   # a lazy HyperSpy signal\n"
        "package.record.datasets[0].fields           # every value, with its unit and its source\n"
        "package.verify().raise_for_findings()       # checks every byte"
    )
    return (
        "<section>\n<h2>How to open it in Python</h2>\n<pre><code>pip install diadem-em</code></pre>\n"
        f"<pre><code>{html.escape(code)}</code></pre>\n<p>The files in <code>data</code> are ordinary files: any"
        " program that reads the format reads them.</p>\n</section>\n"
    )


def _example(facts: PackageFacts) -> str:
    """A path as Python source: plain ASCII, so that nothing in a name is hidden or turned."""
    for dataset in facts.datasets:
        if dataset.signals and len(dataset.primary) <= 120:
            return ascii(dataset.primary)
    return "'scan.dm4'"

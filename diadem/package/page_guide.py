"""What the page tells a person who has never heard of DIADEM: how to check, what each file is, how to open one."""

from __future__ import annotations

import html
from dataclasses import dataclass

from diadem.model.facts import PackageFacts
from diadem.model.manifest import INDEX_PATH, LEAVES_PATH, MANIFEST, TAGMANIFEST, VENDOR_PATH


@dataclass(frozen=True, slots=True)
class Check:
    """What a person checks, and from where.

    Attributes
    ----------
    place, hint : str
        The folder in which the commands are given, as HTML: "the folder that holds bagit.txt"; and what helps to find
        it, or "".
    lists : tuple of str
        The lists of digests, relative to it.
    closed : bool
        Whether `data` holds exactly the files of the last list: their numbers are compared.
    identified : bool
        Whether the digest of the first list is a package id.
    name : str
        What is checked: "this package".
    meant : str
        What equal digests prove the files to be: "what was archived".
    """

    place: str
    hint: str = ""
    lists: tuple[str, ...] = (TAGMANIFEST, MANIFEST)
    closed: bool = True
    identified: bool = True
    name: str = "this package"
    meant: str = "what was archived"


PACKAGE = Check("the folder that holds <code>bagit.txt</code>", "It is the one above this page.")


def powershell(check: Check) -> str:
    """Commands for Windows PowerShell 4 and later.

    `-LiteralPath` because names may hold [ and ]; `-split` with 2 because they may hold two spaces; UTF8 because 5.1
    would read the system's code page.
    """
    quoted = ", ".join(f"'{name}'" for name in check.lists)
    lines = [
        f"""$bad = 0
foreach ($list in {quoted}) {{
  foreach ($line in Get-Content -LiteralPath $list -Encoding UTF8) {{
    $want, $path = $line -split '  ', 2
    $have = ''
    if (Test-Path -LiteralPath $path -PathType Leaf) {{
      $have = (Get-FileHash -LiteralPath $path -Algorithm SHA256).Hash
    }}
    if ($have -ne $want) {{ $bad++; "NOT AS ARCHIVED: $path" }}
  }}
}}
"$bad files are not as archived\""""
    ]
    if check.closed:
        lines.append("(Get-ChildItem -LiteralPath data -Recurse -File -Force | Measure-Object).Count")
        lines.append(f"(Get-Content -LiteralPath {check.lists[-1]} -Encoding UTF8 | Measure-Object).Count")
    if check.identified:
        lines.append(f"(Get-FileHash -LiteralPath {check.lists[0]} -Algorithm SHA256).Hash.ToLower()")
    return "\n".join(lines)


def shell(check: Check, program: str) -> str:
    """Commands for a shell: `sha256sum` on Linux, ``shasum -a 256`` on macOS."""
    lines = [f"{program} -c {name}" for name in check.lists]
    if check.closed:
        lines.append(f"find data -type f | wc -l; wc -l < {check.lists[-1]}")
    if check.identified:
        lines.append(f"{program} {check.lists[0]}")
    return "\n".join(lines)


#: The commands for a package, from its own folder.
POWERSHELL, MACOS, LINUX = powershell(PACKAGE), shell(PACKAGE, "shasum -a 256"), shell(PACKAGE, "sha256sum")

_FILES = (
    ("data/", "The files as the instrument wrote them, with their names and folders."),
    ("data/diadem-record.json", "The extended metadata: every value with its unit and where it was found. JSON."),
    ("data/ro-crate-metadata.json", "The same in the vocabulary of RO-Crate 1.2, for repositories. JSON-LD."),
    ("data/ro-crate-preview.html", "This page."),
    (MANIFEST, "The SHA-256 of every file in data. Text, made for sha256sum."),
    (TAGMANIFEST, "The SHA-256 of the files beside data. Its own SHA-256 is the package id."),
    ("bagit.txt, bag-info.txt", "Say that this is a BagIt 1.0 bag (RFC 8493), when it was made and how large it is."),
    (INDEX_PATH, "Size, time and original name of every file. Text, separated by tabs."),
    (LEAVES_PATH, "A BLAKE3 digest of every leaf (1 MiB), so that damage can be found and repaired piece by piece."),
    (VENDOR_PATH, "The instrument makers' own metadata blocks, as they were."),
)


def check_html(check: Check = PACKAGE) -> str:
    """How to check the files with what every computer has."""
    hint = f" {check.hint}" if check.hint else ""
    aside = f" ({check.hint[0].lower()}{check.hint[1:].rstrip('.')})" if check.hint else ""
    windows = (
        f"Open {check.place} in Explorer.{hint}",
        "Type <code>powershell</code> in the address bar and press Enter.",
        "Paste these lines and press Enter, once more if <code>&gt;&gt;</code> appears:",
    )
    macos = (
        f"Open Terminal, type <code>cd</code> and a space, drag {check.place}{aside} into the window and press Enter.",
        "Run:",
    )
    linux = (f"Open a terminal in {check.place}.{hint}", "Run:")
    single = (
        f"<p>For one file, <code>certutil -hashfile &quot;data\\my scan.dm4&quot; SHA256</code> prints its SHA-256;"
        f" compare it with the file’s line in <code>{check.lists[-1]}</code>. If the folder is so deep that paths"
        f" exceed 260 characters, copy it to a short path such as <code>C:\\check</code> first.</p>\n"
    )
    return (
        f"<section>\n<h2>How to check {check.name} without DIADEM</h2>\n"
        f"<p>Every file has a SHA-256 digest in {_counted_lists(check)}. Compute the digests again: if they are equal,"
        f" the files are, byte for byte, {check.meant}.</p>\n"
        f'<div class="guides">\n{_guide("Windows", _steps(windows, powershell(check)) + single)}'
        f"{_guide('macOS', _steps(macos, shell(check, 'shasum -a 256')))}"
        f"{_guide('Linux', _steps(linux, shell(check, 'sha256sum')))}</div>\n"
        f"<p><strong>What you should see.</strong> {_expected(check)}</p>\n</section>\n"
    )


def _counted_lists(check: Check) -> str:
    return "one of two lists" if len(check.lists) == 2 else f"<code>{check.lists[0]}</code>"


def _expected(check: Check) -> str:
    said = (
        "On macOS and Linux every line ends with <code>OK</code>; on Windows the count of files that are not as"
        " archived is 0."
    )
    if check.closed:
        said += " The two numbers after that are equal: then no file was added to <code>data</code>."
    if not check.identified:
        return f"{said} Whoever could change the files could also change the lists and this page."
    return (
        f"{said} The last line, 64 characters, is the <strong>package id</strong>: compare it with the"
        " <code>diadem:…</code> that you were given by another channel. It is the only thing to trust; whoever could"
        " change the files could also change the lists and this page."
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
        " DIADEM node holds the package,</p>\n<pre><code>diadem custody PACKAGE-ID</code></pre>\n<p>prints it in plain"
        " words. <code>PACKAGE-ID</code> is the id from the check above.</p>\n</section>\n"
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

from .api import (
    extract as extract,
    extract_many as extract_many,
    open as open,
    pack as pack,
    plan as plan,
    verify as verify,
)
from .archive.package import Package as Package
from .errors import (
    AmbiguousValue as AmbiguousValue,
    DiademError as DiademError,
    DigestMismatch as DigestMismatch,
    DocumentError as DocumentError,
    IntegrityError as IntegrityError,
    Interrupted as Interrupted,
    NotFound as NotFound,
    PackageError as PackageError,
    PluginError as PluginError,
    ReaderError as ReaderError,
    Refused as Refused,
    StoreError as StoreError,
    Unreachable as Unreachable,
    UsageError as UsageError,
)
from .model.record import Record as Record
from .model.report import Finding as Finding
from .model.report import Report as Report

__version__: str

from . import (
    examples as examples,
)
from .api import (
    extract as extract,
)
from .api import (
    extract_many as extract_many,
)
from .api import (
    open as open,
)
from .api import (
    pack as pack,
)
from .api import (
    plan as plan,
)
from .api import (
    read_plan as read_plan,
)
from .api import (
    scan as scan,
)
from .api import (
    verify as verify,
)
from .api.nodes import Node as Node
from .api.nodes import connect as connect
from .api.nodes import login as login
from .api.nodes import open_node as open_node
from .api.nodes import verify_custody as verify_custody
from .archive.package import Package as Package
from .errors import (
    AmbiguousValue as AmbiguousValue,
)
from .errors import (
    DiademError as DiademError,
)
from .errors import (
    DigestMismatch as DigestMismatch,
)
from .errors import (
    DocumentError as DocumentError,
)
from .errors import (
    IntegrityError as IntegrityError,
)
from .errors import (
    Interrupted as Interrupted,
)
from .errors import (
    NotFound as NotFound,
)
from .errors import (
    PackageError as PackageError,
)
from .errors import (
    PluginError as PluginError,
)
from .errors import (
    QualityWarning as QualityWarning,
)
from .errors import (
    ReaderError as ReaderError,
)
from .errors import (
    Refused as Refused,
)
from .errors import (
    StoreError as StoreError,
)
from .errors import (
    Unreachable as Unreachable,
)
from .errors import (
    UsageError as UsageError,
)
from .model.record import Record as Record
from .model.report import Finding as Finding
from .model.report import Report as Report
from .scan.scan import Scan as Scan
from .workers.pool import WorkerPool as WorkerPool

__version__: str

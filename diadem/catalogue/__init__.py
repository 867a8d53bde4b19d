"""What a node knows of its packages: tables, search and its language. All SQL but the log's."""

from diadem.catalogue.catalogue import Catalogue
from diadem.catalogue.facets import Facet, Facets, FacetValue
from diadem.catalogue.facts import PackageEntry
from diadem.catalogue.log_statements import StatementEntry
from diadem.catalogue.packages import Prepared, prepare
from diadem.catalogue.replica_states import CopyEntry
from diadem.catalogue.results import DatasetRow, PackageRow, SearchResult

__all__ = [
    "Catalogue",
    "CopyEntry",
    "DatasetRow",
    "Facet",
    "FacetValue",
    "Facets",
    "PackageEntry",
    "PackageRow",
    "Prepared",
    "SearchResult",
    "StatementEntry",
    "prepare",
]

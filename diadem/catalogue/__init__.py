"""What a node knows of its packages: tables, search and its language. All SQL but the log's."""

from diadem.catalogue.catalogue import Catalogue
from diadem.catalogue.facets import Facet, Facets, FacetValue
from diadem.catalogue.facts import PackageEntry
from diadem.catalogue.packages import Prepared, prepare
from diadem.catalogue.replicas import CopyEntry
from diadem.catalogue.results import DatasetRow, PackageRow, SearchResult
from diadem.catalogue.statements import StatementEntry

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

"""What a node knows of its packages: tables, search and its language. All SQL but the log's."""

from diadem.node.catalogue.catalogue import Catalogue
from diadem.node.catalogue.entries import PackageEntry
from diadem.node.catalogue.facet_results import Facet, Facets, FacetValue
from diadem.node.catalogue.results import DatasetRow, PackageRow, SearchResult

__all__ = ["Catalogue", "DatasetRow", "Facet", "FacetValue", "Facets", "PackageEntry", "PackageRow", "SearchResult"]

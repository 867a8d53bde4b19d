"""NeXus files of the definition NXem, for NOMAD and whoever reads NeXus: what a record says, and its data."""

"""NanoMEGAS: block files of ASTAR (.blo) and sessions of TopSpin (.app5)."""

"""EMPAD (Cornell University, Thermo Fisher Scientific): the XML document beside a scan's raw data."""

"""EPU and Tomography (Thermo Fisher Scientific): the XML document beside each image, or alone, and of a session."""

"""TIA (FEI, Emispec): .emi documents with their .ser series, and series alone."""

"""From files to datasets and fields: survey, sniffing, pre-flight, the worker and its mapping."""

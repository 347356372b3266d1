"""A search as a record: store, resume, hypervolume, report."""

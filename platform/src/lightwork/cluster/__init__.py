"""The Dask cluster of a session: where it comes from, and how many workers it has."""

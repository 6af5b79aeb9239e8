"""The Dask cluster of a session: how it is started or reached, and how many workers it has."""

"""The history of a tenant's runs as a page: on this machine's own address, or as one file."""

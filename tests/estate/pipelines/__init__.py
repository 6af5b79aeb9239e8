"""The pipelines that the tests' tenants run: signatures to check parameters against, and no work."""

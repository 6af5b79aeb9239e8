"""What source and live objects say: definitions, the names that code reads, namespaces."""

"""OpenSearch on AWS: signed requests to a domain, and the search of a tenant's log lines."""

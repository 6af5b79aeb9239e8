"""What runs leave in a lake: kept results, artifacts, records."""

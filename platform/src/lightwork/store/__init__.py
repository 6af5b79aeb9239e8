"""What runs leave in a lake: results, artifacts, records."""

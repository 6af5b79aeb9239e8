"""What runs store in a lake: results, artifacts, records."""

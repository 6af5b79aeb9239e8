"""What GitLab's jobs call: the logic that would otherwise be shell in a YAML file."""

"""The commands of containers and hooks in pods, one module each."""

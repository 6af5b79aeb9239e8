"""Talking to a Kubernetes cluster: its API, a run's status, and the names that its pods agree on."""

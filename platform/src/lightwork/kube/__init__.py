"""Talking to a Kubernetes cluster, and what everybody who does agrees on."""

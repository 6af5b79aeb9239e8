"""Access to a Kubernetes cluster: its API, the runs in it, and the names shared with its pods."""

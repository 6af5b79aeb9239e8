"""Kubernetes objects, each the result of a pure function of a tenant and the target it is made for.

Pulumi, `kubectl apply` and `lightwork tenant render` all use these, so what is tested is what is deployed.
"""

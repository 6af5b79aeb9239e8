"""The platform's metrics of pipelines, for Prometheus: `python -m lightwork.pods.watch`.

`gathering` reads the figures that each tenant's own processes have left in its namespace, `metrics` makes
metrics of them, `switch` tells CloudWatch every minute that the alerts work, and `__main__` serves both.

The process keeps nothing, so a restart loses nothing. It reads no lake, and one ConfigMap of each namespace.
The program runs on a plain Python image, from a ConfigMap: the estate is deployed before the platform's
image exists. So it uses the standard library only, and few modules of lightwork (`infra.services.watch` lists
them).
"""

"""Argo's own login to the archive: made by a master login, kept in a Secret, changed every week.

`rotation` decides what to do, `database` and `cluster` do it. The other modules are what Python lacks for
that: `postgres` and `scram` talk to PostgreSQL, `master` reads the master's password from Secrets Manager.

The program runs on a plain Python image, from a ConfigMap: the estate is deployed before the platform's image
exists. So it uses the standard library only, and of lightwork no more than `errors` and `kube.api`.
"""

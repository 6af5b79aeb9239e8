"""The Pulumi program and its driver: an environment on AWS, and each tenant as a stack of its own.

Add code to one of the folders. The root holds only what both kinds of stack use, and no file of it bears the
name of an installed distribution: Pulumi puts this folder first on `sys.path`.
"""

"""The Pulumi program and its driver: an environment on AWS, and each tenant as a stack of its own.

Add code to one of the folders. The root holds only what both kinds of stack use. No file in it may bear the
name of an installed distribution, because Pulumi puts this folder first on `sys.path`.
"""

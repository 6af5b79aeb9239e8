"""Commands for GitLab's jobs: logic that would otherwise be shell in a YAML file.

Add a module here for a job that needs more than a line of shell.
"""

"""The stack of one tenant in an environment.

Add code here for resources that each tenant gets of its own.
"""

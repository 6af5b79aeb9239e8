"""The stack of one tenant in an environment.

Add code here for what each customer gets of its own.
"""

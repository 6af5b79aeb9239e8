"""The settings that people write, and the values derived from them: names, sizes, versions, subnets.

Add pure values and their checks here; nothing in this folder creates a resource.
"""

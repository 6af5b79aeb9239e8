"""What people write and what follows from it: settings, names, sizes, versions.

Add pure values and their checks here; nothing in this folder makes a resource.
"""

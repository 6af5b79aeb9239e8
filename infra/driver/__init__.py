"""The command `lightwork-estate`: which stacks a change touches, and their deployment by Pulumi.

Add code here for a sub-command, or for how the engine is run and watched.
"""

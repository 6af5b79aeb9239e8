"""The command `lightwork-estate`: finds the stacks that a change affects, and deploys them with Pulumi.

Add code here for a sub-command, or for how the engine is run and watched.
"""

"""The command line `lightwork`."""

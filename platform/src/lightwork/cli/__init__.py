"""The command line, `lightwork`."""

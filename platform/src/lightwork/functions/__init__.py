"""What an author writes, before it runs: decorators, parameters, discovery, pickling, `lightwork new`."""

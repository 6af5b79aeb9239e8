"""What an author writes, before it runs anywhere: decorators, discovery, parameters, pickling."""

"""What an author writes, before it runs anywhere: decorators, parameters, discovery, and how code travels."""

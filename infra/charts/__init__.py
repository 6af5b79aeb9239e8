"""The values of the Helm charts, a module each: a frozen dataclass in, a dict out. No Pulumi."""

"""The values of the Helm charts, one module per chart: a frozen dataclass in, a dict out. No Pulumi.

Add a module here for a chart that every cluster gets.
"""

"""Discharges of single cells in a laboratory: capacity in full and from a part, resistance, errors."""

from pipelines.battery_health.lab.discharge import Measured, measure
from pipelines.battery_health.lab.estimate import Estimate, estimate
from pipelines.battery_health.lab.reading import Discharge, read_cells
from pipelines.battery_health.lab.reference import Known, Reference

__all__ = ["Discharge", "Estimate", "Known", "Measured", "Reference", "estimate", "measure", "read_cells"]

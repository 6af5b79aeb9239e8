"""Battery health: capacity and internal resistance of each cell of a fleet, day by day."""

from pipelines.battery_health.estimation import Health, estimate
from pipelines.battery_health.models import MODELS, Model
from pipelines.battery_health.pipeline import battery_health
from pipelines.battery_health.tasks import cell_health, simulate

__all__ = ["MODELS", "Health", "Model", "battery_health", "cell_health", "estimate", "simulate"]

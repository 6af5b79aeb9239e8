"""List prices, from the file beside this module: for `lightwork-estate cost`, and for the runs of tenants."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from infra.config.nodes import gibibytes, processors

if TYPE_CHECKING:
    from infra.config.sizes import Sizes

Prices = dict[str, Any]
PRICES = Path(__file__).with_name("prices.yaml")


def load(path: Path = PRICES) -> Prices:
    """Read the price file."""
    prices: Prices = yaml.safe_load(path.read_text(encoding="utf-8"))
    return prices


def of_workers(sizes: Sizes, prices: Prices) -> str:
    """Return the prices of workers, as `lightwork.history.cost` reads them; empty if one is not in the file.

    Workers on spot nodes are priced as the first of their types; workers on demand run on drivers' nodes.

    Args:
        sizes: the sizes of the environment.
        prices: the price file.
    """
    hours = prices["instance_hour"]
    spot, on_demand = sizes.worker_types[0], sizes.driver_type
    if not {spot, on_demand} <= hours.keys():
        return ""
    document = {
        "date": str(prices["date"]),
        "region": prices["region"],
        "currency": "USD",
        "spot": _node(spot, hours[spot] * prices["spot_share"]),
        "on_demand": _node(on_demand, hours[on_demand]),
    }
    return json.dumps(document)


def _node(instance: str, hour: float) -> dict[str, Any]:
    return {
        "instance": instance,
        "cpu": processors(instance),
        "memory": gibibytes(instance) * 2**30,
        "hour": round(hour, 6),
    }

"""Data sheets of the cell models, shared by the estimate and the simulation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

CELSIUS = 273.15
REFERENCE = 25.0 + CELSIUS
"""Temperature at which resistances are stated, K."""
_BOLTZMANN = 8.617333e-5  # eV/K

# What sensors and cells of a laboratory show, for the simulation. Source: 636 discharges of four 18650 cells
# of 2 Ah at 2 A and 24 °C (B0005, B0006, B0007, B0018 of the Li-ion Battery Aging Datasets, B. Saha and
# K. Goebel, NASA Ames Prognostics Center of Excellence, 2007). Each figure is the median over discharges.
VOLTAGE_NOISE = 1.0e-4
"""Standard deviation of a voltage sample, V; from third differences under constant load (0.10 to 0.11 mV)."""
CURRENT_NOISE = 7.5e-4
"""Standard deviation of a current sample, as a share of the capacity per hour (1.5 mA of 2 Ah)."""
CURRENT_OFFSET = 1.1e-3
"""Standard deviation, over batteries and days, of the current sensor's offset, likewise (2.2 mA at rest)."""
TEMPERATURE_NOISE = 0.006
"""Standard deviation of a temperature sample, °C; from third differences under load."""
POLARISATION = 0.5
"""The slow part of the resistance, as a share of the ohmic part (49 of 98 mOhm, at the begin of the load)."""
RELAXATION = 55.0
"""Time constant of the slow part, s: 5, 45 and 120 s after the begin of the load, 44, 21 and 5 mOhm have yet
to come, besides the fall of the open-circuit voltage. Recovery after a whole discharge has 25 and 150 s."""


@dataclass(frozen=True, slots=True)
class Model:
    """A cell model, from its data sheet.

    Attributes:
        capacity: capacity when new, Ah, between the states of charge 0 and 1.
        resistance: ohmic resistance when new, at 25 °C, mOhm.
        activation: activation energy of the resistance (Arrhenius), eV.
        ocv: open-circuit voltage, V, at equally spaced states of charge from 0 to 1; increasing.
    """

    capacity: float
    resistance: float
    activation: float
    ocv: tuple[float, ...]


MODELS: dict[str, Model] = {
    "nmc-50": Model(
        50.0, 1.4, 0.30,
        (3.00, 3.30, 3.43, 3.49, 3.53, 3.56, 3.585, 3.605, 3.625, 3.645, 3.67,
         3.70, 3.74, 3.785, 3.83, 3.875, 3.92, 3.965, 4.02, 4.08, 4.17),
    ),
    "nca-65": Model(
        65.0, 1.1, 0.27,
        (2.95, 3.25, 3.38, 3.45, 3.50, 3.535, 3.565, 3.595, 3.63, 3.67, 3.715,
         3.76, 3.80, 3.84, 3.88, 3.925, 3.97, 4.02, 4.07, 4.115, 4.18),
    ),
    "lmo-40": Model(
        40.0, 1.8, 0.33,
        (3.10, 3.45, 3.58, 3.66, 3.72, 3.765, 3.80, 3.83, 3.86, 3.885, 3.91,
         3.935, 3.96, 3.985, 4.01, 4.035, 4.06, 4.085, 4.11, 4.14, 4.19),
    ),
}  # fmt: skip


def voltage_at_rest(model: Model, soc: Floats) -> Floats:
    """Return the open-circuit voltage, V, at states of charge from 0 to 1."""
    return np.interp(soc, np.linspace(0.0, 1.0, len(model.ocv)), model.ocv)


def state_of_charge(model: Model, volts: Floats) -> Floats:
    """Return the state of charge, 0 to 1, at open-circuit voltages, V."""
    return np.interp(volts, model.ocv, np.linspace(0.0, 1.0, len(model.ocv)))


def resistance_factor(model: Model, celsius: Floats) -> Floats:
    """Return the resistance at temperatures, °C, as a multiple of that at 25 °C."""
    factor: Floats = np.exp(model.activation / _BOLTZMANN * (1.0 / (celsius + CELSIUS) - 1.0 / REFERENCE))
    return factor

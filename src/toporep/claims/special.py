"""Statistics of single claims that no test type covers: functions of mean curves.

Each takes arrays by the names that the claim gives to its quantities (`of`), xarray objects with a dimension `row` of
resampled means beside the claim's own dimensions, and returns one without those that it uses up. NaN comes out only
where NaN goes in.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

# Below this share of its highest value a spatial term has begun to drop.
DROPPED = 0.9


def accuracy_at_drop(term: xr.DataArray, accuracy: xr.DataArray) -> xr.DataArray:
    """Accuracy at the first epoch after the maximum of a spatial term at which the term is below 90 % of that maximum.

    0 where the term never drops so far. Both arguments have the dimension epoch.
    """
    epoch = xr.DataArray(range(term.sizes["epoch"]), dims="epoch")
    term, accuracy = (curve.drop_vars("epoch", errors="ignore") for curve in (term, accuracy))
    highest = term.max("epoch", skipna=False)
    dropped = (epoch > term.fillna(0).argmax("epoch")) & (term < DROPPED * highest)
    found = accuracy.fillna(0).isel(epoch=dropped.argmax("epoch"))
    defined = term.notnull().all("epoch") & accuracy.notnull().all("epoch")
    return xr.where(dropped.any("epoch"), found, 0.0).where(defined)


def minimum_at_maximum(curve: xr.DataArray, of: xr.DataArray) -> xr.DataArray:
    """How far a curve over strengths lies lower at the strength at which another one is highest than at any other.

    Negative where its minimum is at another strength. Both arguments have the dimension strength.
    """
    place = xr.DataArray(np.arange(of.sizes["strength"]), dims="strength")
    curve, of = (each.drop_vars("strength", errors="ignore") for each in (curve, of))
    there = place == of.fillna(-np.inf).argmax("strength")
    lowest = [curve.where(places, np.inf).min("strength", skipna=False) for places in (there, ~there)]
    return (lowest[1] - lowest[0]).where(of.notnull().all("strength"))


FUNCTIONS = {function.__name__: function for function in (accuracy_at_drop, minimum_at_maximum)}

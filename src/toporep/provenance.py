"""What a result says about how it was made."""

from __future__ import annotations

import importlib.metadata
import platform

from toporep.config import canonical_json

# In the title of images from folders that are not whole; the ledger of claims looks for it.
NOT_WHOLE = "not the whole set"
_PACKAGES = ("toporep", "torch", "numpy", "xarray", "netCDF4", "scipy")


def software_versions() -> str:
    """Versions of Python and of the packages that numbers depend on, as JSON text."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return canonical_json(versions)

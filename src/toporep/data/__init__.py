"""Image data: the registry, download, local files, fingerprints, embedded demo data.

Importing this package loads neither pooch, scikit-learn, torch nor xarray.
"""

from toporep.data.images import ImageData, fingerprint, load_images, save_images
from toporep.data.registry import Registry, load_registry
from toporep.data.sources import obtain

__all__ = ["ImageData", "Registry", "fingerprint", "load_images", "load_registry", "obtain", "save_images"]

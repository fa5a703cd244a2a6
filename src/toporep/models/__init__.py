"""Networks with a topographic sheet."""

from toporep.models.cnn import MODELS, CifarCNN, MnistCNN, SheetCNN

__all__ = ["MODELS", "CifarCNN", "MnistCNN", "SheetCNN"]

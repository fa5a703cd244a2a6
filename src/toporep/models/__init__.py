"""Networks with a topographic sheet."""

from toporep.exports import exports

__all__, __getattr__ = exports(
    __name__,
    {
        "cnn": ["MODELS", "CifarCNN", "MnistCNN", "SheetCNN"],
        "resnet": ["TopographicResNet18"],
        "grouper": ["grouper_matrix"],
        "topographic_vae": ["TopographicVAE"],
        "likelihood": ["log_likelihood"],
        "category_tvae": ["CategoryTVAE"],
        "feature_norm": ["FeatureNorm"],
        "feature_likelihood": ["feature_log_likelihood"],
        "tdann": ["TDANN"],
    },
)

"""Self-organizing maps: trained without gradients, many in a stack."""

from __future__ import annotations

from toporep.kinds import Kind, Settings

_TRAINING = ("epochs", "rate", "initial_width", "train_images", "mean", "std")


def _training_settings(paper: Settings, dataset: str, condition: Settings) -> dict:
    data = paper["datasets"][dataset]
    return {
        "grid": paper["grid"],
        "model": {"name": data["model"]},
        "training": {key: data[key] for key in _TRAINING},
        "condition": {key: condition[key] for key in ("trained", "spatial_loss")},
    }


KIND = Kind(
    models={"SelfOrganizingMap": 1},
    train_command="train_map",
    training_settings=_training_settings,
    evaluations={"activations": "map_activations"},
)

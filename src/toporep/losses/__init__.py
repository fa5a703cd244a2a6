"""Losses that make a sheet of units topographic."""

from toporep.losses.spatial import activation_similarity, global_similarity, weight_similarity

__all__ = ["activation_similarity", "global_similarity", "weight_similarity"]

"""Time and memory of the consistency of 5 models, beside NumPy's corrcoef on whole matrices, in one run on one thread.

`OMP_NUM_THREADS=1 python -m pytest -s benchmarks/test_bench_consistency.py`
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from timing import peak_megabytes, seconds

from toporep.metrics.class_similarity import class_cosine_similarity
from toporep.metrics.consistency import rdm_consistency

MODELS, IMAGES, UNITS = 5, 1000, 256


def embeddings() -> np.ndarray:
    generator = np.random.default_rng(0)
    shared = generator.normal(size=(IMAGES, UNITS))
    return (shared + generator.normal(size=(MODELS, IMAGES, UNITS))).astype(np.float32)


def test_consistency_of_five_models():
    models = embeddings()
    upper = np.triu_indices(IMAGES, k=1)

    def whole_matrices():
        triangles = [(1 - np.corrcoef(model.astype(np.float64)))[upper] for model in models]
        return np.mean([np.corrcoef(a, b)[0, 1] for a, b in itertools.combinations(triangles, 2)])

    assert rdm_consistency(models).mean == pytest.approx(whole_matrices(), abs=1e-12)
    taken, ratio = seconds(lambda: rdm_consistency(models)), seconds(whole_matrices)
    megabytes = peak_megabytes(lambda: rdm_consistency(models))
    print(
        f"\nconsistency of {MODELS} models x {IMAGES} images x {UNITS} units: {taken:.3f} s, {megabytes:.0f} MB; "
        f"{ratio / taken:.1f} times as fast as NumPy's corrcoef on whole matrices"
    )
    assert taken < 2
    assert megabytes < 1000


def test_class_similarity_of_five_models():
    models, labels = embeddings(), np.repeat(np.arange(10), IMAGES // 10)
    for center in (False, True):
        taken = seconds(lambda center=center: class_cosine_similarity(models, labels, center=center))
        megabytes = peak_megabytes(lambda center=center: class_cosine_similarity(models, labels, center=center))
        kind = "centered" if center else "raw"
        print(f"\n{kind} cosines of {MODELS} models x {IMAGES} images: {taken:.3f} s, {megabytes:.0f} MB")
        assert taken < 2
        assert megabytes < 200

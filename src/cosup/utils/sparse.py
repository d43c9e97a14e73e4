"""Sparse matrices as dense ones, where the memory holds them."""

from __future__ import annotations

from typing import Any

import numpy as np

from cosup.utils.available_memory import check_memory

__all__ = ["densified"]


def densified(matrix: Any, name: str) -> Any:
    """Turn a sparse matrix into a dense one, where the memory holds it."""
    kind = matrix.dtype if matrix.dtype.kind == "f" else np.dtype(np.float64)
    n_bytes = matrix.shape[0] * matrix.shape[1] * kind.itemsize
    check_memory(
        n_bytes, f"{name}, a sparse matrix of shape {matrix.shape}, as a dense one",
        "reduce its columns first, for example with sklearn.decomposition.TruncatedSVD",
    )  # fmt: skip
    return matrix.toarray().astype(kind, copy=False)

"""How two sets of pictures differ, or how varied and clear one is, by a network's features and classes.

Each score is named after its network: Inception Score and KID are these with the 2015 Inception network alone.
"""

import numpy as np

BLOCK = 1024  # rows of a matrix of distances that are held at once
KERNEL_DEGREE = 3


def class_score(logits: np.ndarray, splits: int) -> dict[str, float | int]:
    """Return exp(E KL(p(y|x) || p(y))) (Salimans et al. 2016): 1 if all look alike, at most the number of classes.

    Args:
        logits: float (n, classes) of n pictures.
        splits: parts of which each has its own p(y); fewer where there are fewer pictures.

    Returns:
        `mean` and `deviation` (population) over the parts, `whole` of all pictures as one part, and `splits`.
    """
    parts = np.array_split(logits.astype(np.float64), min(splits, len(logits)))
    scores = np.array([_score_of(part) for part in parts])
    return {
        "mean": float(scores.mean()),
        "deviation": float(scores.std()),
        "whole": float(_score_of(logits.astype(np.float64))),
        "splits": len(parts),
    }


def _score_of(logits: np.ndarray) -> float:
    logs = logits - logits.max(axis=1, keepdims=True)
    logs = logs - np.log(np.exp(logs).sum(axis=1, keepdims=True))
    mean = np.exp(logs).mean(axis=0)
    return np.exp((np.exp(logs) * (logs - np.log(mean))).sum(axis=1).mean())


def kernel_distance(features_a: np.ndarray, features_b: np.ndarray) -> float:
    """Return the unbiased squared maximum mean discrepancy with the kernel (x·y / d + 1)³ (Binkowski et al. 2018).

    Args:
        features_a: float (n, d), with n at least 2.
        features_b: float (m, d), with m at least 2.

    Returns:
        About 0 for sets from one distribution, and then often a little below 0. No subsets are drawn.
    """
    a, b = features_a.astype(np.float64), features_b.astype(np.float64)
    within = [(_kernel_sum(x, x) - (_kernel(x, x)).sum()) / (len(x) * (len(x) - 1)) for x in (a, b)]
    return float(sum(within) - 2 * _kernel_sum(a, b) / (len(a) * len(b)))


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the kernel of each row with its counterpart, (n,)."""
    return ((a * b).sum(axis=1) / a.shape[1] + 1) ** KERNEL_DEGREE


def _kernel_sum(a: np.ndarray, b: np.ndarray) -> float:
    """Return the sum of the kernel over all pairs of rows."""
    starts = range(0, len(a), BLOCK)
    return sum(((a[start : start + BLOCK] @ b.T / a.shape[1] + 1) ** KERNEL_DEGREE).sum() for start in starts)


def precision_recall(real: np.ndarray, generated: np.ndarray, neighbours: int) -> tuple[float, float]:
    """Return improved precision and recall (Kynkaanniemi et al. 2019).

    Precision is the fraction of generated pictures within the sphere of a real one, recall that of real ones within
    the sphere of a generated one; a sphere reaches to the n-th nearest neighbour in its own set.

    Args:
        real: float (n, d), n above `neighbours`.
        generated: float (m, d), m above `neighbours`.
        neighbours: n; published: 3.
    """
    return _covered(generated, real, neighbours), _covered(real, generated, neighbours)


def _covered(points: np.ndarray, centres: np.ndarray, neighbours: int) -> float:
    """Return the fraction of points that lie in the sphere of any centre."""
    own = (np.sort(squared_distances(block, centres), axis=1)[:, neighbours] for block in _blocks(centres))
    radii = np.concatenate(list(own))  # the nearest is the centre itself
    inside = [(squared_distances(block, centres) <= radii).any(axis=1) for block in _blocks(points)]
    return float(np.concatenate(inside).mean())


def _blocks(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the squared Euclidean distance of every row of a (n, d) and b (m, d) as float64 (n, m), not below 0."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return np.maximum((a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T, 0)

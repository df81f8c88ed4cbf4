"""Consensus voting among the superpixels of a shot that look alike (Faktor and Irani, BMVC 2014)."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import sparse

RADIUS = 15  # frames before and after, in which neighbours are looked for
IN_EACH = 2  # neighbours in each of these frames, the own one among them: 62 of each superpixel in all
SPREAD = 0.1  # of squared distances between descriptors
BETWEEN = 10  # rounds between two times of damping


def find_neighbours(descriptors: Sequence[np.ndarray]) -> sparse.csr_array:
    """Return how much each superpixel's vote counts for each other: float32 (N, N), rows sum to 1.

    The neighbours of a superpixel are the two nearest ones in each frame of the 31 around it, itself among them, with
    weights that fall with the distance of the descriptors.

    Args:
        descriptors: of the superpixels of each frame of the shot, float32 (n, d); N superpixels in all.
    """
    starts = np.cumsum([0, *map(len, descriptors)])
    squares = [np.einsum("nd,nd->n", own, own) for own in descriptors]
    rows, columns, distances = [], [], []

    def add(one: int, other: int, table: np.ndarray) -> None:
        nearest = np.argpartition(table, min(IN_EACH, table.shape[1]) - 1, axis=1)[:, :IN_EACH]
        rows.append(np.repeat(np.arange(starts[one], starts[one + 1]), nearest.shape[1]))
        columns.append((nearest + starts[other]).ravel())
        distances.append(np.take_along_axis(table, nearest, axis=1).ravel())

    for first, own in enumerate(descriptors):
        for second in range(first, min(first + RADIUS + 1, len(descriptors))):
            table = squares[first][:, None] + squares[second] - 2 * own @ descriptors[second].T
            add(first, second, table)
            if second > first:
                add(second, first, table.T)
    weights = np.exp(-np.maximum(np.concatenate(distances), 0) / SPREAD, dtype=np.float32)
    places = np.concatenate(rows), np.concatenate(columns)
    graph = sparse.csr_array((weights, places), shape=(starts[-1], starts[-1]))
    return (sparse.diags_array(1 / graph.sum(axis=1), dtype=np.float32) @ graph).tocsr()


def vote(
    graph: sparse.csr_array, first: np.ndarray, rounds: int, kept: float, damp: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Return the votes of all superpixels after some rounds, float32 (N,).

    In each round a superpixel's vote becomes the mean of its neighbours' votes, but for a share that stays as it was at
    first. Without that, fifty rounds forget where the motion was: all votes approach one value.

    Args:
        graph: of `find_neighbours`.
        first: votes that motion gives, float32 (N,).
        rounds: how many.
        kept: share of the first vote in each round.
        damp: lowers doubtful votes, after every ten rounds.
    """
    votes = first
    for number in range(1, rounds + 1):
        votes = (1 - kept) * (graph @ votes) + kept * first
        if number % BETWEEN == 0:
            votes = damp(votes)
    return votes

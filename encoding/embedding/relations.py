"""How dimensions are related over stimuli: a tree, hues in its order, a graph with communities."""

from dataclasses import dataclass

import networkx as nx
import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform

from ..core import DataError
from ..numerics.matching import correlate_columns
from ..numerics.variational import discoveries


@dataclass(frozen=True, eq=False, slots=True)
class Relations:
    """Relations between the dimensions of an embedding."""

    r: np.ndarray  # (n_dims, n_dims) Pearson correlations over stimuli
    tree: np.ndarray  # (n_dims - 1, 4) Linkage (average, 1 - r), leaves ordered for the largest sum of r of neighbours
    hue: np.ndarray  # (n_dims,) Angle of each dimension, in turns, by the order of the leaves
    # One row per edge: first, second (places of dimensions), r, p. An edge is a positive correlation that shuffled
    # stimuli do not reach, at a false discovery rate of 5% over all pairs
    edges: pd.DataFrame
    community: np.ndarray  # (n_dims,) Number of the community, the largest first; dimensions without edges are alone
    modularity: float  # Of these communities; NaN without edges


def relate(X: np.ndarray, *, n_permutations: int = 2_000, alpha: float = 0.05, seed: int = 0) -> Relations:
    """Relate the dimensions of an embedding to each other.

    Shapes: `X` (n_items, n_dims). Raises DataError for fewer than two dimensions. Communities are those of the largest
    modularity that the Louvain method finds (Blondel et al. 2008), edges weighing as much as their correlation.
    """
    X = np.asarray(X, dtype=np.float64)
    n_dims = X.shape[1]
    if n_dims < 2:
        raise DataError(f"Embedding of {n_dims} dimensions: relations need two or more.")
    r = correlate_columns(X, X)
    np.fill_diagonal(r, 1.0)
    distance = squareform(np.clip(1 - r, 0, 2), checks=False)
    tree = optimal_leaf_ordering(linkage(distance, "average"), distance)
    edges = _edges(X, r, n_permutations, alpha, np.random.default_rng(seed))
    community, modularity = _communities(edges, n_dims, seed)
    hue = np.empty(n_dims)
    hue[leaves_list(tree)] = np.arange(n_dims) / n_dims
    return Relations(r, tree, hue, edges, community, modularity)


def _edges(X: np.ndarray, r: np.ndarray, n: int, alpha: float, rng: np.random.Generator) -> pd.DataFrame:
    first, second = np.triu_indices(len(r), 1)
    observed = r[first, second]
    count = np.zeros(len(first))
    for _ in range(n):  # every dimension is shuffled on its own
        count += correlate_columns(rng.permuted(X, axis=0), X)[first, second] >= observed - 1e-12
    p = (count + 1) / (n + 1)
    kept = discoveries(p, alpha=alpha) & (observed > 0)
    return pd.DataFrame({"first": first, "second": second, "r": observed, "p": p})[kept].reset_index(drop=True)


def _communities(edges: pd.DataFrame, n_dims: int, seed: int) -> tuple[np.ndarray, float]:
    graph = nx.Graph()
    graph.add_nodes_from(range(n_dims))
    graph.add_weighted_edges_from(edges[["first", "second", "r"]].itertuples(index=False, name=None))
    if not len(edges):
        return np.arange(n_dims), float("nan")
    groups = nx.community.louvain_communities(graph, weight="weight", seed=seed)
    groups = sorted(groups, key=lambda members: (-len(members), min(members)))
    community = np.empty(n_dims, dtype=int)
    for number, members in enumerate(groups):
        community[list(members)] = number
    return community, float(nx.community.modularity(graph, groups, weight="weight"))


def place_dimensions(relations: Relations) -> np.ndarray:
    """Place dimensions in the plane so that connected ones are close (stress of graph distances).

    Returns (n_dims, 2).
    """
    distance = np.clip(1 - relations.r, 0, None)
    np.fill_diagonal(distance, 0.0)
    graph = nx.complete_graph(len(distance))
    lengths = {a: dict(enumerate(map(float, row))) for a, row in enumerate(np.maximum(distance, 0.05))}
    angle = 2 * np.pi * relations.hue
    start = {k: np.array([np.cos(a), np.sin(a)]) for k, a in enumerate(angle)}
    places = nx.kamada_kawai_layout(graph, dist=lengths, pos=start)
    return np.stack([places[k] for k in range(len(distance))])


def blend_hues(X: np.ndarray, hue: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mix the hues of an item's dimensions by its weights.

    Shapes: `X` (n_items, n_dims), `hue` (n_dims,) in turns; returns the mixed hue in turns and its purity (n_items,): 1
    for items of one dimension, 0 where opposite hues cancel.
    """
    weight = np.maximum(X, 0)
    total = weight.sum(axis=1)
    mean = np.divide(weight @ np.exp(2j * np.pi * hue), total, out=np.zeros(len(X), complex), where=total > 0)
    return np.angle(mean) / (2 * np.pi) % 1, np.abs(mean)

"""Does the mask channel help? Generators of three and four channels over the same seeds."""

from collections.abc import Iterator, Mapping, Sequence

from workflow_scripts.metrics.paired import CONFIDENCE, mean_interval, paired_difference

NAMES = {"efficientnet_lite0": "EfficientNet-Lite0", "inception": "Inception"}
# What is measured against held-out pictures -> whether more of it is better.
DISTANCES = {"frechet": False, "kernel": False, "precision": True, "recall": True}
TITLES = {
    "frechet": "Fréchet distance to the test set",
    "kernel": "kernel distance to the test set",
    "precision": "precision",
    "recall": "recall",
}


def compare(networks: Mapping[str, dict], features: Sequence[str]) -> dict | None:
    """Return the `comparison` of the summary; None where there are not both numbers of channels.

    Args:
        networks: the summary's `networks`.
        features: names of the feature networks; the score of classes by the last one, Inception where it is used, is
            that of the verdict, fixed before anything is measured.
    """
    kinds = {kind: [one for one in networks.values() if one["channels"] == kind] for kind in (3, 4)}
    if not all(kinds.values()) or not features:
        return None
    rows = []
    for feature, score, better in _scores(features):
        rgb, masked = ([_value(one, feature, score) for one in kinds[kind]] for kind in (3, 4))
        if None in rgb or None in masked:
            continue
        rows.append(
            {
                "features": feature,
                "score": score,
                "title": title_of(feature, score),
                "better": better,
                "rgb": mean_interval(rgb),
                "masked": mean_interval(masked),
                "difference": paired_difference(rgb, masked),
            }
        )
    main = "inception" if "inception" in features else features[0]
    chosen = next(row for row in rows if (row["features"], row["score"]) == (main, "score"))
    return {"scores": rows, "decided_by": chosen["title"], "answer": answer(chosen), "verdict": verdict(chosen)}


def title_of(feature: str, score: str) -> str:
    """Return how a score is called; only those of Inception have the common names."""
    if feature == "inception":
        common = {"score": "Inception Score", "frechet": "FID to the test set", "kernel": "KID to the test set"}
        return common.get(score, f"Inception {TITLES.get(score, score)}")
    return f"{NAMES[feature]} score" if score == "score" else f"{NAMES[feature]} {TITLES[score]}"


def answer(row: dict) -> str:
    """Return in a few words whether the mask channel helps by one score."""
    difference = row["difference"]
    if difference["count"] < 2:
        return "not known from one seed"
    if difference["low"] <= 0 <= difference["high"]:
        return "no difference shown"
    return "helps" if (difference["mean"] > 0) == row["better"] else "harms"


def verdict(row: dict) -> str:
    """Return one sentence that says whether the mask channel helps by one score."""
    difference, title = row["difference"], row["title"]
    amount = f"{title} {row['masked']['mean']:.3f} with the mask and {row['rgb']['mean']:.3f} without"
    found = answer(row)
    if found == "not known from one seed":
        return f"Whether the mask channel helps is not known from one seed ({amount})."
    interval = f"difference {difference['mean']:+.3f}, {CONFIDENCE:.0%} interval {difference['low']:+.3f} to "
    interval += f"{difference['high']:+.3f} over {difference['count']} seeds"
    if found == "no difference shown":
        seeds = difference["count"]
        return f"The mask channel makes no difference here that {seeds} seeds could show ({amount}; {interval})."
    return f"The mask channel {found} here ({amount}; {interval})."


def _scores(features: Sequence[str]) -> Iterator[tuple[str, str, bool]]:
    """Yield feature network, score, and whether more of it is better."""
    for feature in features:
        yield feature, "score", True
        yield from ((feature, name, better) for name, better in DISTANCES.items())


def _value(network: dict, feature: str, score: str) -> float | None:
    described = network["described"][feature]
    if score == "score":
        return described["score"]["mean"]
    return described["test"][score] if described["test"] else None

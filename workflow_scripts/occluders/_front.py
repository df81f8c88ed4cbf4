"""What lies in front of an occluder, as a hand before a mask: it belongs to the bare face too."""

import numpy as np

from workflow_scripts.core.randomness import draw_weighted
from workflow_scripts.occluders._apply import Occluded, apply_occluder
from workflow_scripts.occluders._config import Occluders


def put_in_front(
    bare: np.ndarray, occluded: Occluded, landmarks: np.ndarray, occluders: Occluders, rng: np.random.Generator
) -> tuple[np.ndarray, Occluded]:
    """Return the bare and the occluded face, both with the same thing in front, or as they are, as is drawn.

    It is drawn on the bare face. Where it hides the share F of what is below, so much less is seen of the difference
    that the occluder makes: with bare faces B without and B' with it, the occluded O becomes B' + (1 - F) (O - B).

    Args:
        bare: uint8 (h, w, 3) RGB.
        occluded: the same face with an occluder.
        landmarks: (68, 2), x and y in pixels.
        occluders: `front` and `style` are used.
        rng: the only source of randomness.
    """
    nothing = 1 - sum(occluders.front.values())
    kind = draw_weighted(rng, [(nothing, None), *((share, kind) for kind, share in occluders.front.items())])
    if kind is None:
        return bare, occluded
    front = apply_occluder(bare, landmarks, kind, occluders.style, rng)
    seen = 1 - front.coverage.astype(np.float32) / 255
    difference = (occluded.image.astype(np.float32) - bare) * seen[..., None]
    image = np.rint(front.image + difference).clip(0, 255).astype(np.uint8)
    return front.image, Occluded(image, np.rint(occluded.coverage * seen).astype(np.uint8))

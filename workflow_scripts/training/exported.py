"""What a family says of its networks, so that they run elsewhere: bytes go in and come out, whatever lies between.

The module `exported` of a family, `systems/_{family}/exported.py`, has

    build_exported(network, load, experiment, shapes)    the `Exported` of one network of the experiment

with the network's name; `load(name)`, which returns a trained network beside it; the keys that its sidecar tells; and
the shapes of what it was trained on, by column. A family without such a module has no networks that are exported.
"""

from typing import Literal, NamedTuple

from torch import Tensor, nn

from workflow_scripts.training.data import pictures_to_bytes

__all__ = ["Exported", "Given", "pictures_to_bytes", "planes_to_bytes"]


class Given(NamedTuple):
    """One input.

    Attributes:
        kind: `picture`, RGB uint8; `plane`, uint8, 0 or 255; `noise`, float32, standard normal; `fraction`, float32 in
            0..1; `number`, int64 from 0 up; `points`, float32 (n, 2), x and y in pixels.
        shape: of one item; a batch has one more dimension in front.
        below: of a `number` and of `points`: they are less than this.
    """

    kind: Literal["picture", "plane", "noise", "fraction", "number", "points"]
    shape: tuple[int, ...]
    below: int = 0


class Exported(nn.Module):
    """A trained network with what comes before and after it; `forward` takes the inputs in their order.

    Attributes:
        inputs: by name. Those that the network does not look at are left out of the file.
        outputs: names, in the order of what `forward` returns.
        notes: further facts that whoever runs it must know, by name.
    """

    def __init__(self, inputs: dict[str, Given], outputs: tuple[str, ...], notes: dict[str, str] | None = None):
        super().__init__()
        self.inputs, self.outputs, self.notes = inputs, outputs, notes or {}


def planes_to_bytes(planes: Tensor) -> Tensor:
    """Turn (N, 1, S, S) in 0..1 to uint8 (N, S, S)."""
    return (planes[:, 0] * 255).round().byte()

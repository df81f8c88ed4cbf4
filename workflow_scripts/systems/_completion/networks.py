"""What every network that completes faces has in common, whatever its method."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Completer(nn.Module, ABC):
    """A network that fills a hole in many ways, each made of one draw of random numbers.

    Attributes:
        guided: whether it looks at keypoints, so that a user can move them.
    """

    guided: bool = True

    @abstractmethod
    def latent_shape(self, size: int) -> tuple[int, ...]:
        """Return the shape of one draw of standard normal numbers, for pictures of `size` pixels.

        The product with the diversity knob is given to `complete`; an empty shape says that nothing is drawn, and that
        there is only one completion.
        """

    @abstractmethod
    def complete(self, holed: Tensor, hole: Tensor, guide: Tensor, uncertainty: Tensor, latent: Tensor) -> Tensor:
        """Return one completion of each picture, of which only what lies in the hole is used.

        Args:
            holed: (N, 3, S, S) in -1..1, 0 in the hole.
            hole: (N, 1, S, S), 1 in the hole and 0 outside.
            guide: drawings of the keypoints, (N, 3, S, S) in -1..1, see `faces/drawings.py`.
            uncertainty: (N, 1, 1, 1), mean standard deviation of the keypoints in the hole, as a fraction of the
                side; 0 where they are known or asked for.
            latent: (N, *latent_shape(S)), the random numbers.

        Returns:
            float32 (N, 3, S, S) in -1..1.
        """

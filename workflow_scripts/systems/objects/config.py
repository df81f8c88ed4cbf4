"""Configuration of `objects`: does a mask as a fourth channel help a GAN?

The experiment is that of a student report (2018) on MS-COCO and YFCC100m; its slides do not name the GAN. The residual
one with class splitting follows Grinblat et al. 2017 (arXiv 1709.07359) and Gulrajani et al. 2017 (arXiv 1704.00028).
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from workflow_scripts.config.base import Model
from workflow_scripts.config.sources import BaseSource
from workflow_scripts.config.training import Training
from workflow_scripts.systems._generation.config import GenerationExperiment


class Splitting(Model):
    """Classes without labels: they begin as one and are split in two by k-means on the discriminator's features."""

    every: int = Field(10, ge=1, description="epochs between two rounds; each splits every class that is large enough")
    min_items: int = Field(2000, ge=2, description="a class is split if it has more items; published: 2000")
    max_classes: int = Field(512, ge=2, description="classes at most; published: 512")


class GanNetwork(Model):
    """A generator and its discriminator."""

    architecture: Literal["residual", "dcgan"] = Field(
        "residual", description="residual blocks (published), or the small DCGAN of Radford et al. 2015 as a baseline"
    )
    latent: int = Field(128, ge=1, description="length of the random vector; published: 128")
    channels: int = Field(
        128,
        ge=1,
        description="width: of every residual block (published: 128), or of the finest layer of a DCGAN, whose coarser "
        "ones double it (published: 64)",
    )
    loss: Literal["wasserstein", "hinge", "non_saturating"] = Field(
        "wasserstein", description="published: `wasserstein`; of DCGAN: `non_saturating`"
    )
    gradient_penalty: float = Field(
        10.0, ge=0, description="weight of (|gradient of the discriminator| - 1)² between real and fake; 0: none"
    )
    spectral_norm: bool = Field(False, description="spectral normalisation of the discriminator's layers")
    discriminator_steps: int = Field(
        5, ge=1, description="steps of the discriminator for each of the generator; each sees a new batch"
    )
    labels: bool = Field(False, description="classes are the labels of `squares.categories`; else all begin as one")
    splitting: Splitting | None = Field(None, description="split classes during training; null: do not")
    class_weight: float = Field(1.0, ge=0, description="weight of the class of real pictures; published: 1")
    generator_class_weight: float = Field(0.1, ge=0, description="weight of the class of fakes; published: 0.1")
    training: Training = Training(
        epochs=100, batch_size=64, learning_rate=2e-4, betas=(0.0, 0.9), schedule="linear", keep="last"
    )

    @property
    def needs_batch_norm(self) -> bool:
        """Whether a DCGAN's discriminator is normalised by batches; a penalty of single items forbids it."""
        return not (self.gradient_penalty or self.spectral_norm)

    def check_size(self, where: str, size: int) -> None:
        """Accept every size of crops: squares have their own."""


class Experiment(GenerationExperiment):
    """Train generators of 3 and 4 channels from several seeds, and tell whether the mask helps."""

    system: Literal["objects"]
    gan: GanNetwork = GanNetwork()

    def key_of(self, network: str) -> str:
        """Return the key of a network's settings: all generators share one."""
        return "segment" if network == "segment" else "gan"

    def keys_of(self, network: str) -> tuple[str, ...]:
        """Return the keys that a network's training depends on."""
        return (self.key_of(network), "squares")

    @property
    def classes(self) -> int:
        """The most classes that a generator can have."""
        given = len(self.squares.categories) if self.gan.labels else 1
        return max(given, self.gan.splitting.max_classes) if self.gan.splitting else given

    def check(self, where: str, sources: Mapping[str, BaseSource]) -> None:
        """Refuse labels of no categories, and colours that a mask channel cannot keep."""
        super().check(where, sources)
        if self.gan.labels and not self.squares.categories:
            raise ValueError(
                f"{where}.gan.labels: needs the categories; write for example `squares: {{categories: [person, dog]}}`"
            )
        unlabelled = [name for name in self.train if self.gan.labels and not sources[name].has_objects]
        if unlabelled:
            raise ValueError(f"{where}.gan.labels: {unlabelled[0]!r} has no categories; leave `labels: true` out")
        for key in ("enlarge", "move", "jitter"):
            if getattr(self.gan.training, key) != Training.model_fields[key].default:
                raise ValueError(
                    f"{where}.gan.training.{key}: a generator would learn the changed pictures; leave it out"
                )

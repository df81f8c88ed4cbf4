"""Generators and discriminators of small pictures, without how they are trained.

Residual ones follow Gulrajani et al. 2017 (arXiv 1704.00028, their CIFAR-10 networks, with one block more for each
doubling of the side), small ones the DCGAN of Radford et al. 2015 (arXiv 1511.06434). A discriminator also tells the
class, and a generator is told it: each class has its own scale and shift after every normalisation.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

START = 4  # pixels; the side of a generator's first picture
END = 8  # pixels; the side at which a residual discriminator stops halving
SLOPE = 0.2  # of DCGAN's leaky ReLU


class ClassNorm(nn.Module):
    """Batch normalisation with a scale and a shift of each class (Dumoulin et al. 2017)."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale = nn.Parameter(torch.ones(classes, channels))
        self.shift = nn.Parameter(torch.zeros(classes, channels))

    def forward(self, x: Tensor, classes: Tensor) -> Tensor:
        """Map (N, C, H, W) and classes int64 (N,) to (N, C, H, W)."""
        return self.norm(x) * self.scale[classes][..., None, None] + self.shift[classes][..., None, None]

    def class_parameters(self) -> list[nn.Parameter]:
        """Return the parameters with a row for each class."""
        return [self.scale, self.shift]


class ClassHead(nn.Linear):
    """The logits of each class."""

    def class_parameters(self) -> list[nn.Parameter]:
        """Return the parameters with a row for each class."""
        return [self.weight, self.bias]


def class_parameters(network: nn.Module) -> list[nn.Parameter]:
    """Return all parameters of a network that have a row for each class."""
    owners = (module for module in network.modules() if isinstance(module, ClassNorm | ClassHead))
    return [parameter for owner in owners for parameter in owner.class_parameters()]


class UpBlock(nn.Module):
    """Residual block that doubles the side: norm, ReLU, nearest, 3x3, norm, ReLU, 3x3; a 1x1 in the shortcut."""

    def __init__(self, inputs: int, outputs: int, classes: int):
        super().__init__()
        self.first, self.second = ClassNorm(inputs, classes), ClassNorm(outputs, classes)
        self.conv1, self.conv2 = nn.Conv2d(inputs, outputs, 3, padding=1), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, classes: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, 2 H, 2 W)."""
        y = self.conv1(F.interpolate(F.relu(self.first(x, classes)), scale_factor=2.0))
        return F.interpolate(self.shortcut(x), scale_factor=2.0) + self.conv2(F.relu(self.second(y, classes)))


class ResidualGenerator(nn.Module):
    """A linear layer to 4x4, residual blocks that double the side, norm, ReLU, a 3x3 convolution, tanh.

    Args:
        latent: length of the random vector.
        channels: width of all layers.
        outputs: channels of a picture.
        size: side of a picture; a power of 2.
        classes: that it can be told.
    """

    def __init__(self, latent: int, channels: int, outputs: int, size: int, classes: int):
        super().__init__()
        self.channels = channels
        self.linear = nn.Linear(latent, channels * START**2)
        doublings = (size // START).bit_length() - 1
        self.blocks = nn.ModuleList(UpBlock(channels, channels, classes) for _ in range(doublings))
        self.norm = ClassNorm(channels, classes)
        self.out = nn.Conv2d(channels, outputs, 3, padding=1)

    def forward(self, latents: Tensor, classes: Tensor) -> Tensor:
        """Map random vectors (N, latent) and classes int64 (N,) to pictures (N, outputs, size, size) in -1..1."""
        x = self.linear(latents).reshape(latents.shape[0], self.channels, START, START)
        for block in self.blocks:
            x = block(x, classes)
        return torch.tanh(self.out(F.relu(self.norm(x, classes))).float())


class DownBlock(nn.Module):
    """Residual block without normalisation: ReLU, 3x3, ReLU, 3x3, and the mean of 2x2 pixels where it halves the side.

    The first block of a network begins with its convolution, as a ReLU would cut the picture's dark half.
    """

    def __init__(self, inputs: int, outputs: int, halves: bool, is_first: bool = False):
        super().__init__()
        self.halves, self.is_first = halves, is_first
        self.conv1, self.conv2 = nn.Conv2d(inputs, outputs, 3, padding=1), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if halves or inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W), or to half the side."""
        y = self.conv2(F.relu(self.conv1(x if self.is_first else F.relu(x))))
        shortcut = self.shortcut(x)
        return F.avg_pool2d(shortcut, 2) + F.avg_pool2d(y, 2) if self.halves else shortcut + y


class ResidualDiscriminator(nn.Module):
    """Residual blocks that halve the side to 8x8, two more, ReLU, and the mean over all pixels.

    Args:
        inputs: channels of a picture.
        channels: width of all layers.
        size: side of a picture; a power of 2.
        classes: that it can tell.
    """

    def __init__(self, inputs: int, channels: int, size: int, classes: int):
        super().__init__()
        halvings = (size // END).bit_length() - 1
        blocks = [DownBlock(inputs, channels, halves=True, is_first=True)]
        blocks += [DownBlock(channels, channels, halves=True) for _ in range(halvings - 1)]
        blocks += [DownBlock(channels, channels, halves=False) for _ in range(2)]
        self.blocks = nn.Sequential(*blocks)
        self.score, self.head = nn.Linear(channels, 1), ClassHead(channels, classes)

    def features(self, pictures: Tensor) -> Tensor:
        """Map pictures (N, inputs, size, size) in -1..1 to pooled features (N, channels)."""
        return F.relu(self.blocks(pictures)).mean(dim=(2, 3))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return the verdict (N,), larger for real pictures, and the logits (N, classes)."""
        features = self.features(pictures)
        return self.score(features)[:, 0], self.head(features)


class ConvolutionalGenerator(nn.Module):
    """DCGAN's generator: transposed 4x4 convolutions with norm and ReLU from 1x1 to the whole side, tanh.

    Args:
        latent, outputs, size, classes: as of `ResidualGenerator`.
        channels: width of the finest layer but the last; each coarser one has twice as many.
    """

    def __init__(self, latent: int, channels: int, outputs: int, size: int, classes: int):
        super().__init__()
        doublings = (size // START).bit_length() - 1
        widths = [channels * 2**level for level in reversed(range(doublings))]
        layers = [nn.ConvTranspose2d(latent, widths[0], START, bias=False)]
        layers += [
            nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False) for before, after in itertools.pairwise(widths)
        ]
        self.layers = nn.ModuleList(layers)
        self.norms = nn.ModuleList(ClassNorm(width, classes) for width in widths)
        self.out = nn.ConvTranspose2d(widths[-1], outputs, 4, 2, 1)
        _draw_weights(self)

    def forward(self, latents: Tensor, classes: Tensor) -> Tensor:
        """Map random vectors (N, latent) and classes int64 (N,) to pictures (N, outputs, size, size) in -1..1."""
        x = latents[..., None, None]
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = F.relu(norm(layer(x), classes))
        return torch.tanh(self.out(x).float())


class ConvolutionalDiscriminator(nn.Module):
    """DCGAN's discriminator: 4x4 convolutions that halve the side to 4x4, leaky ReLU, norm but in the first.

    Args:
        inputs, size, classes: as of `ResidualDiscriminator`.
        channels: width of the first layer; each later one has twice as many.
        batch_norm: whether layers are normalised over the batch.
    """

    def __init__(self, inputs: int, channels: int, size: int, classes: int, batch_norm: bool):
        super().__init__()
        halvings = (size // START).bit_length() - 1
        widths = [channels * 2**level for level in range(halvings)]
        layers: list[nn.Module] = [nn.Conv2d(inputs, widths[0], 4, 2, 1), nn.LeakyReLU(SLOPE)]
        for before, after in itertools.pairwise(widths):
            norm = nn.BatchNorm2d(after) if batch_norm else nn.Identity()
            layers += [nn.Conv2d(before, after, 4, 2, 1, bias=not batch_norm), norm, nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers)
        self.score, self.head = nn.Conv2d(widths[-1], 1, START), ClassHead(widths[-1], classes)
        _draw_weights(self)

    def features(self, pictures: Tensor) -> Tensor:
        """Map pictures (N, inputs, size, size) in -1..1 to pooled features (N, widest)."""
        return self.layers(pictures).mean(dim=(2, 3))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return the verdict (N,), larger for real pictures, and the logits (N, classes)."""
        found = self.layers(pictures)
        return self.score(found)[:, 0, 0, 0], self.head(found.mean(dim=(2, 3)))


def normalise_spectrally(network: nn.Module) -> nn.Module:
    """Divide the weights of all layers by their largest singular value (Miyato et al. 2018), and return the network.

    The head of classes is left as it is: its rows are copied when classes are split.
    """
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d | nn.Linear) and not isinstance(module, ClassHead):
            spectral_norm(module)
    return network


def _draw_weights(network: nn.Module) -> None:
    """Draw the initial weights of convolutions from N(0, 0.02), as DCGAN does."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)

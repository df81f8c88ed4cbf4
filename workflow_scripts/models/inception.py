"""The 2015 Inception network (Szegedy et al. 2015, arXiv 1512.00567), whose classes and features give IS, FID and KID.

It is the network of TensorFlow's `inception-2015-12-05`, whose weights were converted as
`pt_inception-2015-12-05-6726825d.pth`. It differs from the later Inception-v3 of the same shapes: mean pooling does not
count the padding, the last block pools by the maximum, there are 1008 classes, and pictures are resized as TensorFlow 1
did. Classes are told without the bias of the last layer, as in the original code of the Inception Score.
"""

from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from workflow_scripts.core.cli import UserError

SIDE = 299  # pixels
CLASSES, FEATURES = 1008, 2048
EPSILON = 1e-3


class Inception(nn.Module):
    """A frozen network of pictures, RGB (N, 3, H, W) in 0..1; modules have the names of the published file."""

    def __init__(self):
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = Convolution(32, 32, 3)
        self.Conv2d_2b_3x3 = Convolution(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = Convolution(80, 192, 3)
        self.Mixed_5b = BlockA(192, 32)
        self.Mixed_5c = BlockA(256, 64)
        self.Mixed_5d = BlockA(288, 64)
        self.Mixed_6a = BlockB(288)
        self.Mixed_6b = BlockC(768, 128)
        self.Mixed_6c = BlockC(768, 160)
        self.Mixed_6d = BlockC(768, 160)
        self.Mixed_6e = BlockC(768, 192)
        self.Mixed_7a = BlockD(768)
        self.Mixed_7b = BlockE(1280)
        self.Mixed_7c = BlockE(2048, pools_maximum=True)
        self.fc = nn.Linear(FEATURES, CLASSES)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "Inception":
        """Stay in evaluation mode, because the features must not depend on the batch."""
        return super().train(False)

    def features(self, pictures: Tensor) -> Tensor:
        """Return the pooled features (N, 2048)."""
        x = (resize_as_tensorflow(pictures * 255) - 128) / 128
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, 2))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        return self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))).mean(dim=(2, 3))

    def classify(self, features: Tensor) -> Tensor:
        """Return the logits (N, 1008) without bias of features (N, 2048)."""
        return features @ self.fc.weight.T


class Convolution(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1, padding=0):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H', W')."""
        return F.relu(self.bn(self.conv(x)))


class BlockA(nn.Module):
    """1x1, 5x5, two 3x3, and pooled paths."""

    def __init__(self, inputs: int, pooled: int):
        super().__init__()
        self.branch1x1 = Convolution(inputs, 64, 1)
        self.branch5x5_1 = Convolution(inputs, 48, 1)
        self.branch5x5_2 = Convolution(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = Convolution(inputs, 64, 1)
        self.branch3x3dbl_2 = Convolution(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Convolution(96, 96, 3, padding=1)
        self.branch_pool = Convolution(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, 224 + pooled, H, W)."""
        middle = self.branch5x5_2(self.branch5x5_1(x))
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), middle, double, self.branch_pool(_mean_pool(x))], dim=1)


class BlockB(nn.Module):
    """Halves the side by 3x3, two 3x3, and maximum pooling."""

    def __init__(self, inputs: int):
        super().__init__()
        self.branch3x3 = Convolution(inputs, 384, 3, stride=2)
        self.branch3x3dbl_1 = Convolution(inputs, 64, 1)
        self.branch3x3dbl_2 = Convolution(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Convolution(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, 480 + inputs, H / 2, W / 2)."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, 2)], dim=1)


class BlockC(nn.Module):
    """1x1, 7x7 in two strips, twice so, and pooled paths."""

    def __init__(self, inputs: int, width: int):
        super().__init__()
        wide, high = {"kernel": (1, 7), "padding": (0, 3)}, {"kernel": (7, 1), "padding": (3, 0)}
        self.branch1x1 = Convolution(inputs, 192, 1)
        self.branch7x7_1 = Convolution(inputs, width, 1)
        self.branch7x7_2 = Convolution(width, width, **wide)
        self.branch7x7_3 = Convolution(width, 192, **high)
        self.branch7x7dbl_1 = Convolution(inputs, width, 1)
        self.branch7x7dbl_2 = Convolution(width, width, **high)
        self.branch7x7dbl_3 = Convolution(width, width, **wide)
        self.branch7x7dbl_4 = Convolution(width, width, **high)
        self.branch7x7dbl_5 = Convolution(width, 192, **wide)
        self.branch_pool = Convolution(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, 768, H, W)."""
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), single, double, self.branch_pool(_mean_pool(x))], dim=1)


class BlockD(nn.Module):
    """Halves the side by 3x3, 7x7 in two strips and 3x3, and maximum pooling."""

    def __init__(self, inputs: int):
        super().__init__()
        self.branch3x3_1 = Convolution(inputs, 192, 1)
        self.branch3x3_2 = Convolution(192, 320, 3, stride=2)
        self.branch7x7x3_1 = Convolution(inputs, 192, 1)
        self.branch7x7x3_2 = Convolution(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = Convolution(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = Convolution(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, 512 + inputs, H / 2, W / 2)."""
        strips = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([self.branch3x3_2(self.branch3x3_1(x)), strips, F.max_pool2d(x, 3, 2)], dim=1)


class BlockE(nn.Module):
    """1x1, 3x3 as two strips beside each other, the same after a 3x3, and pooled paths."""

    def __init__(self, inputs: int, pools_maximum: bool = False):
        super().__init__()
        self.pools_maximum = pools_maximum
        wide, high = {"kernel": (1, 3), "padding": (0, 1)}, {"kernel": (3, 1), "padding": (1, 0)}
        self.branch1x1 = Convolution(inputs, 320, 1)
        self.branch3x3_1 = Convolution(inputs, 384, 1)
        self.branch3x3_2a = Convolution(384, 384, **wide)
        self.branch3x3_2b = Convolution(384, 384, **high)
        self.branch3x3dbl_1 = Convolution(inputs, 448, 1)
        self.branch3x3dbl_2 = Convolution(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = Convolution(384, 384, **wide)
        self.branch3x3dbl_3b = Convolution(384, 384, **high)
        self.branch_pool = Convolution(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, 2048, H, W)."""
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, 1, 1) if self.pools_maximum else _mean_pool(x)
        paths = [self.branch1x1(x), self.branch3x3_2a(single), self.branch3x3_2b(single)]
        paths += [self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double), self.branch_pool(pooled)]
        return torch.cat(paths, dim=1)


def resize_as_tensorflow(pictures: Tensor) -> Tensor:
    """Resize (N, C, H, W) to 299x299 as TensorFlow 1 does: pixel i of the output shows i H / 299."""
    rows, columns = (_resizing(side, str(pictures.device)) for side in pictures.shape[-2:])
    return rows @ pictures @ columns.T


@cache
def _resizing(side: int, device: str) -> Tensor:
    """Return the matrix (299, side) whose rows hold the weights of bilinear interpolation."""
    places = torch.arange(SIDE, dtype=torch.float64) * side / SIDE
    lower = places.floor().long()
    upper, share = (lower + 1).clamp(max=side - 1), places - lower
    matrix = torch.zeros(SIDE, side, dtype=torch.float64)
    rows = torch.arange(SIDE)
    matrix.index_put_((rows, lower), 1 - share, accumulate=True)
    matrix.index_put_((rows, upper), share, accumulate=True)
    return matrix.float().to(device)


def load_inception(path: str | Path) -> Inception:
    """Build the network with the published weights.

    Args:
        path: safetensors with the tensors of `pt_inception-2015-12-05-6726825d.pth` under their published names.

    Raises:
        UserError: the file is absent, or holds the weights of another network.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"no weights at {path}; set `weights: {{inception: PATH}}` to pt_inception-2015-12-05-6726825d.pth, or "
            "leave `inception` out of `features`"
        )
    network, found = Inception(), load_file(path)
    # Files of older versions of torch do not count the batches that batch normalisation has seen.
    wanted = {name for name in network.state_dict() if not name.endswith("num_batches_tracked")}
    try:
        network.load_state_dict({name: found[name] for name in wanted}, strict=False)
    except (RuntimeError, KeyError) as error:
        raise UserError(
            f"{path} does not hold the weights of the 2015 Inception network; give pt_inception-2015-12-05-6726825d.pth"
        ) from error
    return network


def _mean_pool(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)

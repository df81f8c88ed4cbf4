"""Published numbers that results are shown beside, each measured on other test items: a scale, not a rank."""

from typing import NamedTuple


class Published(NamedTuple):
    """One published row: means over the test items of the raw output, on the whole picture."""

    name: str
    citation: str
    test_items: str
    psnr: float
    ssim: float


PUBLISHED: dict[str, tuple[Published, ...]] = {
    "unmask": (
        Published(
            "Din et al. 2020",
            "N. U. Din, K. Javed, S. Bae, J. Yi: A novel GAN-based network for unmasking of masked face. "
            "IEEE Access 8:44276, 2020",
            "CelebA with drawn masks, 128x128",
            26.19,
            0.864,
        ),
        Published(
            "Unmasking Face",
            "M. Bencivenga, C. Maiello, I. Orefice: Unmasking Face (student report, in Italian)",
            "CelebA with drawn masks, 128x128",
            22.71,
            0.621,
        ),
        Published(
            "M2UNet 2026",
            "M2UNet, 2026",
            "CelebA with surgical masks, 256x256",
            31.33,
            0.9577,
        ),
        Published(
            "copy of the input, elsewhere",
            "the do-nothing baseline, measured on 999 test pairs of Unmasking Face",
            "CelebA with drawn masks, 128x128",
            19.27,
            0.895,
        ),
    ),
}

"""Published numbers that results are shown beside, each measured on other pictures and holes: a scale, not a rank."""

from typing import NamedTuple


class Published(NamedTuple):
    """One published row; `lpips` is the mean distance between samples, so more is more diverse."""

    name: str
    citation: str
    lpips: float | None
    psnr: float
    ssim: float | None


PUBLISHED: dict[str, tuple[Published, ...]] = {
    "diverse": (
        Published(
            "PICNet",
            "C. Zheng, T.-J. Cham, J. Cai: Pluralistic image completion. CVPR 2019",
            0.029,
            20.10,
            None,
        ),
        Published(
            "PII-GAN",
            "W. Cai, Z. Wei: PiiGAN: generative adversarial networks for pluralistic image inpainting. "
            "IEEE Access 8:48451, 2020",
            0.037,
            33.22,
            0.989,
        ),
        Published(
            "PD-GAN",
            "H. Liu, Z. Wan, W. Huang, Y. Song, X. Han, J. Liao: PD-GAN: probabilistic diverse GAN for image "
            "inpainting. CVPR 2021",
            0.12,
            23.15,
            0.782,
        ),
        Published(
            "DE-GAN",
            "X. Zhang et al.: DE-GAN: domain embedded GAN for high quality face image inpainting. "
            "Pattern Recognition 124:108415, 2022",
            None,
            26.132,
            0.893,
        ),
    ),
}

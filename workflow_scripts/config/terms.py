"""What may be done with data, models and what is made of them, as far as it is known; nothing is guessed."""

from collections.abc import Iterable, Mapping

from pydantic import Field

from workflow_scripts.config.base import Model

NOT_STATED = "not stated"
# Of pretrained models, by the names of their files; what README.md says of them.
MODELS = {
    "landmarks": "68-point landmark model of dlib: trained on iBUG 300-W, whose licence excludes commercial use",
    "efficientnet_lite0": "EfficientNet-Lite0: its package names none; converted from TensorFlow's (Apache 2.0)",
    "vgg19": "VGG19 of torchvision: BSD; trained on ImageNet",
}


class Terms(Model):
    """What its owner says of a source; networks, data sets and cards that are made of it repeat the words."""

    licence: str | None = Field(None, description="licence of its pictures, as `CC BY 4.0`; null: not stated")
    consent: str | None = Field(
        None, description="whether the people who are shown agreed, and to what; null: not stated"
    )


NO_TERMS: dict[str, Terms] = {}  # where nothing is said of any source


def licences(terms: Mapping[str, Terms], models: Iterable[str]) -> dict[str, str]:
    """Return the licence of each source, by its name, and of each pretrained model, by that of its file."""
    return {name: one.licence or NOT_STATED for name, one in terms.items()} | {
        name: MODELS.get(name, NOT_STATED) for name in models
    }


def consents(terms: Mapping[str, Terms]) -> dict[str, str]:
    """Return what is said of the consent of the people whom each source shows, by its name."""
    return {name: one.consent or NOT_STATED for name, one in terms.items()}

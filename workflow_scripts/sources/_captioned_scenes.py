"""Pictures with captions: parts of scikit-image's photographs, and its grey textures in red, green and blue.

The captions are ours. The words of a texture name its colour and what it is of, so that whether a generated picture
follows its words can be measured by its colour. Parts of one photograph, or of one strip of a texture, belong together,
so that what is held out was never seen.
"""

from typing import NamedTuple

SIDE = 64  # pixels of a picture
SEED = 0  # the pictures are the same whatever the configuration's seed is
COLOURS = {"red": (200, 40, 40), "green": (40, 170, 50), "blue": (45, 60, 200)}
TEXTURES = {"brick": "brick.png", "grass": "grass.png", "gravel": "gravel.png"}
STRIPS = 8  # parts of a texture of which each is a group
OF_EACH = 24  # pictures of each texture in each colour
PHOTOGRAPHS = (  # file, where its part begins (x, y) and its side, all of the photograph's pixels, and what it shows
    ("astronaut.png", 150, 0, 200, "the face of a smiling woman"),
    ("astronaut.png", 40, 200, 300, "an astronaut in an orange suit"),
    ("astronaut.png", 0, 0, 180, "a flag behind an astronaut"),
    ("chelsea.png", 90, 20, 250, "the face of a cat"),
    ("chelsea.png", 150, 30, 100, "the eye of a cat"),
    ("chelsea.png", 220, 150, 150, "the fur of a cat"),
    ("coffee.png", 80, 0, 390, "a cup of coffee on a table"),
    ("coffee.png", 180, 60, 200, "coffee in a cup"),
    ("coffee.png", 420, 200, 180, "a spoon beside a cup"),
    ("rocket.jpg", 220, 50, 330, "a rocket before its start"),
    ("rocket.jpg", 0, 0, 200, "the dark sky at night"),
    ("rocket.jpg", 290, 200, 150, "smoke below a rocket"),
)


class Scene(NamedTuple):
    """One picture of the sample.

    Attributes:
        file: its name.
        caption: what is said of it.
        group: pictures of one group come from the same place.
        origin: file of the photograph or texture.
        box: left, top and side of its part; None: drawn at random within the group's place.
        colour: a key of `COLOURS`, for a texture.
    """

    file: str
    caption: str
    group: str
    origin: str
    box: tuple[int, int, int] | None
    colour: str | None


def _scenes() -> list[Scene]:
    photographs = [
        Scene(f"photograph_{number:02d}.png", caption, file, file, (left, top, side), None)
        for number, (file, left, top, side, caption) in enumerate(PHOTOGRAPHS)
    ]
    textures = [
        Scene(
            f"{colour}_{kind}_{number:02d}.png",
            f"a {colour} {kind} texture",
            f"{kind}_{number % STRIPS}",
            file,
            None,
            colour,
        )
        for colour in COLOURS
        for kind, file in TEXTURES.items()
        for number in range(OF_EACH)
    ]
    return photographs + textures


SCENES = _scenes()

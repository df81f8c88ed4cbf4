"""Generate pictures of your own words with trained adapters: `CHECKPOINT PROMPT… --output DIR`.

CHECKPOINT is `results/{experiment}/checkpoints`, or the adapters in it. Each prompt gives a picture for each seed, the
same as the workflow generates for it. What is written is a PNG, marked as generated.

Ends with 0 when all pictures are written.
"""

import argparse
import re
from pathlib import Path

from PIL import Image
from pydantic import ValidationError
from tqdm import tqdm

from workflow_scripts.commands._inputs import at_least, wrong_option
from workflow_scripts.commands._trained import find_trained
from workflow_scripts.config.experiments import experiment_type
from workflow_scripts.core import cli
from workflow_scripts.core.files import atomic_path
from workflow_scripts.core.marking import save_png
from workflow_scripts.core.names import readable
from workflow_scripts.systems._text_to_image.config import BaseModelFolder, Generation
from workflow_scripts.training.device import choose_device

ADAPTERS = "adapters"  # the network of this name
LONGEST = 60  # letters of a prompt in the name of its file


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and generate."""
    parser = argparse.ArgumentParser(
        prog="python -m workflow_scripts.commands.paint", description=__doc__.splitlines()[0]
    )
    usual = Generation()
    parser.add_argument("checkpoint", type=Path, help="results/{experiment}/checkpoints, or the adapters in it")
    parser.add_argument("prompts", nargs="+", metavar="PROMPT", help="what to generate")
    parser.add_argument("--output", type=Path, required=True, help="folder of the pictures")
    parser.add_argument("--base", help="the base model's folder, where it is not the one of the training")
    parser.add_argument("--seeds", type=int, nargs="+", default=usual.seeds, help="a picture for each")
    parser.add_argument("--steps", type=at_least(1), default=usual.steps, help="of DDIM")
    parser.add_argument("--guidance", type=float, default=usual.guidance, help="1: none")
    parser.add_argument("--gpus", type=at_least(0), default=1, help="0: the CPU, even where there is a GPU")
    parser.add_argument("--threads", type=at_least(1), default=1, help="of the CPU")
    args = parser.parse_args(argv)
    paint_prompts(args)


def paint_prompts(args: argparse.Namespace) -> None:
    """Write the pictures of the command line, and print their paths.

    Raises:
        UserError: an option or the checkpoint is a wrong one, or the base model is absent or another one.
    """
    try:
        generation = Generation(steps=args.steps, guidance=args.guidance)
    except ValidationError as error:
        raise wrong_option(error) from None
    trained = find_trained(args.checkpoint)
    if experiment_type(trained.system).family != "text_to_image":
        raise cli.UserError(f"{args.checkpoint} is of {trained.system}, which paints no words; use commands.apply")
    checkpoint, experiment = trained.path(ADAPTERS), trained.experiment(ADAPTERS)
    folder = BaseModelFolder(path=args.base or experiment.base.folder)
    if missing := folder.missing():
        raise cli.UserError(f"--base: {folder.path} lacks {', '.join(missing)}; write where the base model lies")
    from workflow_scripts.systems._text_to_image.base_model import base_of_folder
    from workflow_scripts.systems._text_to_image.sampling import Wish, paint

    device = choose_device("auto", args.gpus, args.threads)
    wishes = [Wish(prompt, seed) for prompt in dict.fromkeys(args.prompts) for seed in dict.fromkeys(args.seeds)]
    with tqdm(total=len(wishes), desc="paint", mininterval=2) as bar:
        painted = paint(
            wishes, checkpoint, base_of_folder(Path(folder.path)), generation, device, bar.update, beside=False
        )
    for number, (wish, (picture,)) in enumerate(zip(wishes, painted, strict=True), 1):
        words = re.sub(r"\W+", "_", wish.prompt)[:LONGEST].strip("_")
        path = args.output / f"{number:03d}_{words}_{wish.seed}.png"
        with atomic_path(path) as temporary:
            save_png(Image.fromarray(picture), temporary)
        print(readable(str(path)))


if __name__ == "__main__":
    cli.run(main)

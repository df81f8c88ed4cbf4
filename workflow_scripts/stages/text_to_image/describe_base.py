"""Stage: check the base model, and write its description: which files it is, how it is built, what no words give."""

import json
from pathlib import Path

import torch
from safetensors.torch import save

from workflow_scripts.core import cli
from workflow_scripts.core.files import atomic_path
from workflow_scripts.provenance.stage import OptionalInput, Output, stage_command
from workflow_scripts.systems._text_to_image.base_model import describe_folder, empty_words
from workflow_scripts.systems._text_to_image.config import BaseModelFolder


def describe_base(base: BaseModelFolder, output: Output, made: OptionalInput = None) -> None:
    """Write the description of a base model, see `systems/_text_to_image/base_model.py`.

    Args:
        base: where it is, and which one it must be.
        output: the description.
        made: the folder, where the workflow has made the model.

    Raises:
        UserError: the model is not whole, or another than the configured one.
    """
    torch.set_num_threads(1)
    folder = Path(made or base.folder)
    if missing := base.missing():
        raise cli.UserError(f"base.path: {folder} lacks {', '.join(missing)}; put a whole model there")
    found = describe_folder(folder)
    if base.sha256 and base.sha256 != found["sha256"]:
        raise cli.UserError(
            f"base.sha256: the model in {folder} has the SHA-256 {found['sha256']}; use the model that you mean, or "
            "correct the key"
        )
    with atomic_path(output) as temporary:
        temporary.write_bytes(save({"empty": empty_words(folder)}, {"description": json.dumps(found, sort_keys=True)}))


main = stage_command(describe_base)


if __name__ == "__main__":
    cli.run(main)

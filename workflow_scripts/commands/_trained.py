"""What a user gives as a checkpoint: a folder of trained networks whose sidecars say how they are applied."""

import json
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from workflow_scripts.config.experiments import BaseExperiment, experiment_type, system_names
from workflow_scripts.config.sources import Crop
from workflow_scripts.core.cli import UserError
from workflow_scripts.training.checkpoint import WRONG_VALUE

HINT = "write the folder results/{experiment}/checkpoints or a .safetensors of it; a .json lies beside each"


class Trained(NamedTuple):
    """The trained networks of one experiment.

    Attributes:
        folder: where they lie.
        system: what they are of.
        named: the network that the user named by its file; None for the folder.
        sidecars: network -> what its sidecar says.
    """

    folder: Path
    system: str
    named: str | None
    sidecars: dict[str, dict]

    def path(self, network: str) -> Path:
        """Return the checkpoint of a network.

        Raises:
            UserError: it is not there.
        """
        path = self.folder / f"{network}.safetensors"
        if network not in self.sidecars or not path.is_file():
            raise UserError(
                f"{self.folder}: there is no {network}.safetensors with {network}.json; train it, or {HINT}"
            )
        return path

    def size(self, network: str, column: str) -> int:
        """Return the side of the square pictures that a network was trained on, of a column of its shards."""
        try:
            return int(self.sidecars[network]["shapes"][column][0])
        except WRONG_VALUE as error:
            raise _damaged(self.folder / f"{network}.json", error) from error

    def experiment(self, network: str) -> BaseExperiment:
        """Return the keys of the experiment on which applying a network depends; the others have their defaults."""
        try:
            return experiment_type(self.system)(**self.sidecars[network]["config"])
        except (*WRONG_VALUE, ValidationError) as error:
            raise _damaged(self.folder / f"{network}.json", error) from error

    def frame(self, network: str, wanted: str | None) -> str:
        """Return how faces are cut out: as is `wanted`, or else as in the network's training.

        Raises:
            UserError: nothing is wanted, and the sidecar, of an earlier version, does not tell.
        """
        crops = self.sidecars[network].get("crops")
        if wanted is None and not crops:
            raise UserError(
                f"{self.folder / network}.json does not tell how faces were cut out; write `--frame celeba`, or what "
                "`crop: {frame: …}` of the source was"
            )
        if wanted is not None:
            return wanted
        frames = [Crop(**crop).frame for crop in crops.values()]
        return next((frame for frame in frames if frame != "whole"), "whole")


def find_trained(path: Path) -> Trained:
    """Read the sidecars of a folder of checkpoints.

    Args:
        path: the folder, the folder of an experiment that holds it, or one checkpoint.

    Raises:
        UserError: there is no checkpoint, or its sidecar is absent, damaged, or of a system that is not known.
    """
    named = path.stem if path.suffix in (".safetensors", ".json") else None
    folder = path.parent if named else path / "checkpoints" if (path / "checkpoints").is_dir() else path
    files = sorted(folder.glob("*.safetensors"))
    if not files or (named and not (folder / f"{named}.safetensors").is_file()):
        raise UserError(f"{path}: no checkpoint is there; {HINT}")
    sidecars = {file.stem: _read(file.with_suffix(".json")) for file in files}
    systems = sorted({sidecar["system"] for sidecar in sidecars.values()})
    if len(systems) > 1:
        raise UserError(f"{folder}: holds checkpoints of several systems, {', '.join(systems)}; {HINT}")
    return Trained(folder, systems[0], named, sidecars)


def _read(sidecar: Path) -> dict:
    if not sidecar.is_file():
        raise UserError(f"no file {sidecar}; {HINT}")
    try:
        description = json.loads(sidecar.read_text(encoding="utf-8"))
        if description["system"] not in system_names():
            raise UserError(f"{sidecar}: is of system {description['system']!r}; known: {', '.join(system_names())}")
        return description
    except WRONG_VALUE as error:
        raise _damaged(sidecar, error) from error


def _damaged(sidecar: Path, error: Exception) -> UserError:
    return UserError(f"{sidecar}: is damaged ({' '.join(str(error).split())}); copy it again or train again")

"""Keys of `training`: the loop that all systems share."""

from typing import Literal

from pydantic import Field, model_validator

from workflow_scripts.config.base import Fraction, Model


class Training(Model):
    """One network's training: the keys of the loop that all systems share."""

    epochs: int = Field(20, ge=1, description="passes over the training items; raising it later continues the training")
    batch_size: int = Field(16, ge=1, description="items of a step")
    accumulate: int = Field(
        1,
        ge=1,
        description="parts of a batch, of which only one at a time needs memory; their gradients are added up. "
        "Batch normalisation sees the parts",
    )
    learning_rate: float = Field(2e-4, gt=0, description="of Adam")
    betas: tuple[Fraction, Fraction] = Field((0.5, 0.999), description="of Adam")
    schedule: Literal["constant", "cosine", "linear"] = Field(
        "constant", description="of the learning rate; `cosine` falls to 1 % at the end, `linear` to 0"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="`auto`: bf16 where the device computes it natively, else fp32"
    )
    channels_last: bool = Field(True, description="memory layout in which convolutions are fastest")
    ema: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay of the moving average of the weights, which is then what is saved and tested; 0: none",
    )
    clip: float = Field(0.0, ge=0, description="largest norm of the generator's gradient; 0: unlimited")
    flip: bool = Field(False, description="mirror half of the training items")
    enlarge: float = Field(
        1.0,
        ge=1,
        le=2,
        description="a training item is enlarged by this, and a window of its old size at a random place is shown; "
        "published by pix2pix: 1.117 (286 of 256 pixels); 1: none",
    )
    move: float = Field(
        0.0,
        ge=0,
        le=0.3,
        description="largest shift (of the side), turn (in radians) and relative change of size of a training item",
    )
    jitter: float = Field(
        0.0,
        ge=0,
        le=1,
        description="largest relative change of brightness, contrast and each colour of a training item",
    )
    keep: Literal["best", "last"] = Field(
        "best",
        description="the state that the checkpoint holds: `best`, by the validation score that the system names "
        "(its name is in the log and the sidecar), or `last`, as published and where no item is watched",
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="the training ends after this many validations, one an epoch, without a better score; meant "
        "for `schedule: constant`, as the best states of `cosine` come with the small rates of its end",
    )
    on_collapse: Literal["stop", "rewind", "warn"] = Field(
        "stop",
        description="what is done when the training has failed: a loss is not finite, or a value stays beyond a limit "
        "that the system names, such as that of a discriminator which has won, or of completions which are all alike. "
        "`stop`: it ends with one line; `rewind`: it goes back to the last good state, three times at most, with other "
        "random numbers and lower learning rates; `warn`: of limits it only speaks",
    )
    preview_items: int = Field(6, ge=0, description="validation items drawn after epochs")
    preview_every: int = Field(1, ge=1, description="epochs between previews")
    preview_steps: int = Field(0, ge=0, description="steps between further previews; 0: none but those after epochs")
    save_every: int = Field(500, ge=1, description="steps between resume states, which hold all networks")
    threads: int = Field(
        1,
        ge=1,
        description="CPU threads; more than one are for a training that is alone on a quiet machine, as trainings "
        "of one thread run side by side. The weights depend on their number, which therefore is not the machine's",
    )
    deterministic: bool = Field(
        False,
        description="on a GPU, use operations whose results are the same each time, which are slower; torch warns of "
        "those of which there is no such form. A CPU's results are the same each time",
    )
    compile: bool = Field(
        False,
        description="on a GPU, networks are compiled by torch before the first step, half a minute, and its steps are "
        "then faster: 1.5 to 1.8 times those of `render`. This needs a C compiler. What a network does beside its "
        "usual forward pass is not compiled, which for some is most of it. On a CPU it made steps "
        "slower and is not done",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="`auto`: CUDA when the job was given a GPU, else CPU, and the log says which"
    )

    @model_validator(mode="after")
    def _check_parts(self):
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"`batch_size: {self.batch_size}` cannot be cut into `accumulate: {self.accumulate}` parts"
            )
        return self

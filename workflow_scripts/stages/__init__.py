"""The stages of the pipeline: `stages/X/` holds what the rules of `rules/X.smk` run, and nothing else."""

import gc
import sys

# Python says so while it looks for the module of `python -m`. No garbage is looked for until `core.cli.run` begins the
# work: imports leave none, and among all that they make the search takes a quarter of their time, 0.35 s with torch.
if sys.argv[:1] == ["-m"]:
    gc.disable()

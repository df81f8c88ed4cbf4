"""The published systems, a folder for each, and a folder with `_` in front for what systems of one family share.

What a system `NAME` of a family `FAMILY` consists of; everything is found by its name:

    systems/NAME/config.py      class `Experiment`: its keys, and what the shared rules ask (`config/experiments.py`)
    systems/NAME/networks.py    `build_network(network, experiment)`: the untrained network that a checkpoint holds
    systems/NAME/training.py    `build_system(network, experiment, weights)`: what the training loop asks
                                (`training/system.py`)
    systems/_FAMILY/scores.py   `METRICS`, `SCORES`, `SPLITS` and `summarize`: the table of scores and its summary;
                                `parts`, where not all rows may be averaged together: what tells each part of them,
                                and its rows
    systems/_FAMILY/figures.py  `draw`: what the page shows of an experiment, first of all `first_look.png`
    systems/_FAMILY/report.py   `CAPTIONS` of the figures, `first_look` among them, `FEW` and `FEW_SHOW`: what
                                so many training items can show; `view`: what its templates get
    systems/_FAMILY/templates/  `experiment.html.jinja2`, `compared.html.jinja2`: its parts of the page
    rules/FAMILY.smk            its rules, constrained to the experiments of the family
    stages/FAMILY/              the stages that they run

The shared rules train the networks, gather the scores and draw the figures of every family.
"""

from importlib import import_module
from types import ModuleType


def system_module(system: str, part: str) -> ModuleType:
    """Return a module of a system, as `training`."""
    return import_module(f"workflow_scripts.systems.{system}.{part}")


def family_module(family: str, part: str) -> ModuleType:
    """Return a module that the systems of a family share, as `scores`."""
    return import_module(f"workflow_scripts.systems._{family}.{part}")

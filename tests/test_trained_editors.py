"""Networks of `unmask` that were trained, applied: the same each time, whatever lies beside an item."""

import cv2
import numpy as np
from test_training import CPU, EDIT, MAP, SAMPLE, SIDE, arguments, astronaut_module, shards, with_loop  # noqa: F401

from workflow_scripts.core.shards import Shard
from workflow_scripts.stages.experiments.train_network import main
from workflow_scripts.systems.unmask.config import Experiment
from workflow_scripts.systems.unmask.inference import find_occluders, load_network, paint_bare_faces
from workflow_scripts.systems.unmask.networks import build_network


def test_inference_repeats_itself_and_stays_in_range(shards, tmp_path):  # noqa: F811
    """Dropout and batch statistics are off: neither another call nor another batch changes an item's result."""
    for network, config in (("map", MAP), ("edit", EDIT | {"unet": EDIT["unet"] | {"dropout": [0.5]}})):
        main(arguments(shards, tmp_path, network, with_loop(config, epochs=1)))
    pairs = Shard(next(shards.glob("pairs/*/*.arrow")))
    images, holes = pairs.tensors("input", range(6)), pairs.tensors("map", range(6))

    finder = load_network(tmp_path / "checkpoints/map.safetensors", CPU)
    probability = find_occluders(finder, images)
    assert probability.shape == (6, SIDE, SIDE)
    assert probability.dtype == np.float32
    assert 0 <= probability.min() < probability.max() <= 1
    assert np.array_equal(probability, find_occluders(finder, images))
    assert np.allclose(probability[2:3], find_occluders(finder, images[2:3]), atol=1e-5)

    editor = load_network(tmp_path / "checkpoints/edit.safetensors", CPU)
    (edited,) = paint_bare_faces(editor, images, holes)
    assert edited.shape == images.shape
    assert edited.dtype == np.uint8
    assert np.array_equal(edited, paint_bare_faces(editor, images, holes)[0])
    assert np.abs(edited[2].astype(int) - paint_bare_faces(editor, images[2:3], holes[2:3])[0, 0]).max() <= 1


def test_samples_of_an_item_differ_by_their_number_and_are_the_same_each_time(shards, tmp_path):  # noqa: F811
    main(arguments(shards, tmp_path, "edit", SAMPLE))
    editor = load_network(tmp_path / "checkpoints/edit.safetensors", CPU)
    pairs = Shard(next(shards.glob("pairs/*/*.arrow")))
    images, holes = pairs.tensors("input", range(4)), pairs.tensors("map", range(4))

    def painted(rows=slice(None), **keys):
        return paint_bare_faces(editor, images[rows], holes[rows], [5, 6, 7, 8][rows], 2, **keys).astype(int)

    first, second = painted()
    inside = holes > 0
    assert (np.abs(first - second)[inside].mean() > 1) and np.array_equal(first[~inside], second[~inside])
    assert np.array_equal(first, painted()[0]) and np.abs(first[2:3] - painted(slice(2, 3))[0]).max() <= 1
    still, again = painted(diversity=0)
    near, far = (np.abs(painted(diversity=knob)[1] - still).mean() for knob in (0.3, 1))
    assert np.array_equal(still, again) and 0 < near < far


def test_an_editor_whose_hole_is_filled_never_sees_the_occluders_colour(astronaut):
    picture = cv2.resize(astronaut, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    holes = np.zeros((2, SIDE, SIDE), np.uint8)
    holes[:, 10:20, 8:24] = 255
    masked = np.stack([picture, picture])
    masked[0][holes[0] > 0], masked[1][holes[1] > 0] = (200, 40, 40), (20, 60, 220)
    for fill, alike in (("around", True), ("none", False)):
        experiment = Experiment(system="unmask", edit=EDIT | {"fill": fill, "residual": True})
        red, blue = paint_bare_faces(build_network("edit", experiment).eval(), masked, holes)[0]
        assert np.array_equal(red, blue) == alike

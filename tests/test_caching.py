"""Exact reruns: for each kind of edit, the jobs of a real project that run again are those stated, and no others."""

import fnmatch
import shutil
from pathlib import Path

import pytest
from projects import Project, edit_code, edit_config, tiny_config

PARTS = ("Snakefile", "bare", "config.yaml", "envs", "masked", "photos", "profiles", "rules", "workflow_scripts")


def caching_config() -> dict:
    """Return the tiny configuration with two shards of photographs, and given pairs to test on."""
    config = tiny_config()
    given = {"type": "pairs", "clean": "bare", "occluded": "masked", "crop": {"size": 64}}
    config["sources"]["given"] = given
    config["experiments"]["unmask"]["test"] = ["photos", "given"]
    return config | {"shard_size": 20}


@pytest.fixture(scope="session")
def finished(made_once, astronaut) -> Project:
    """A project whose workflow has run to the end."""
    return Project(made_once("project_of_two_shards", lambda root: finish(Project.create(root, astronaut))))


def finish(project: Project) -> None:
    for folder, suffix in (("bare", ""), ("masked", "_N95")):
        (project.root / folder).mkdir()
        for number in range(2):
            shutil.copy(
                project.root / f"photos/portrait_{number:02d}.png", project.root / f"{folder}/{number}{suffix}.png"
            )
    project.configure(caching_config())
    project.said()


@pytest.fixture(scope="module")
def graph(finished) -> dict:
    return finished.jobs("--forceall")


def copy_without_times(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source, target)


def with_descendants(graph: dict, starts: tuple[str, ...]) -> set[str]:
    """Return the jobs whose names match the patterns `starts`, and all that depend on them."""
    found = {name for name in graph for pattern in starts if fnmatch.fnmatch(name, pattern)}
    while True:
        made = {file for name in found for file in graph[name][1]}
        more = {name for name, (inputs, _) in graph.items() if inputs & made} - found
        if not more:
            return found
        found |= more


def write(path: str, content: str):
    return lambda project: (project.root / path).write_text(content)


def remove(path: str):
    return lambda project: (project.root / path).unlink()


def touch_all_pictures(project: Project) -> None:
    for folder in ("photos", "bare", "masked"):
        for path in (project.root / folder).iterdir():
            path.touch()


def format_everything(project: Project) -> None:
    for path in (project.root / "workflow_scripts").rglob("*.py"):
        path.write_text("# Words.\n\n" + path.read_text().replace("    return ", "    return  ") + "\n\n")


def write_yaml_differently(project: Project) -> None:
    text = (project.root / "config.yaml").read_text()
    lines = text.replace("epochs: 1\n", "epochs: 0x1  # one\n").splitlines()
    (project.root / "config.yaml").write_text("# Words.\n" + "\n".join(lines) + "\n")
    assert "0x1" in (project.root / "config.yaml").read_text()


def rename_the_experiment(project: Project) -> None:
    config = project.config()
    config["experiments"] = {"renamed": config["experiments"]["unmask"]}
    project.configure(config)


def add_a_system(project: Project) -> None:
    systems = project.root / "workflow_scripts/systems"
    shutil.copytree(systems / "unmask", systems / "other")
    config = systems / "other/config.py"
    config.write_text(config.read_text().replace('Literal["unmask"]', 'Literal["other"]'))


def copy_a_picture(name: str):
    return lambda project: shutil.copy(project.root / "photos/portrait_05.png", project.root / f"photos/{name}.png")


# edit -> the jobs at which it enters; all that depend on them run too, and nothing else.
EDITS = {
    "nothing": (lambda project: None, ()),
    "comments and formatting of every module": (format_everything, ()),
    "a docstring": (edit_code("systems/_removal/maps.py", '"""', '"""Words. '), ()),
    "a stage's own function": (
        edit_code("stages/removal/score_outputs.py", "import numpy", "import string\n\nimport numpy"),
        ("score_outputs/*",),
    ),
    "a module that one stage imports indirectly": (
        edit_code("occluders/_fit.py", "import ", "import string\nimport "),
        ("make_pairs/unmask/photos/*", "make_pairs/unmask/given/*"),
    ),
    "a kind of source that is not used": (edit_code("sources/celeba.py", "import ", "import string\nimport "), ()),
    "another system": (add_a_system, ()),
    "a value of one network": (
        edit_config("experiments.unmask.edit.training.batch_size", 4),
        ("train_network/unmask/edit",),
    ),
    "a value of the figures": (edit_config("experiments.unmask.gallery", 3), ("draw_figures/*", "tabulate_runs")),
    "a value of the crops of one source": (
        edit_config("sources.photos.faces.min_size", 25),
        ("find_landmarks/photos/*",),
    ),
    "two values swapped": (
        edit_config("experiments.unmask.edit.training.betas", [0.999, 0.5]),
        ("train_network/unmask/edit",),
    ),
    "the same values written differently": (write_yaml_differently, ()),
    "a default written out": (edit_config("experiments.unmask.edit.training.channels_last", True), ()),
    "a renamed experiment": (rename_the_experiment, ("assign_splits/renamed", "make_pairs/renamed/*")),
    "a new picture": (copy_a_picture("new"), ("index_source/photos/00001",)),
    "a changed picture": (copy_a_picture("portrait_01"), ("index_source/photos/00001",)),
    "a deleted picture": (remove("photos/portrait_01.png"), ("index_source/photos/00001",)),
    "a file that is no picture": (write("photos/notes.txt", "words"), ("index_source/photos/00000",)),
    "newer times of all pictures": (touch_all_pictures, ()),
    "the lock file": (write("envs/requirements.lock", "other==1\n"), ("index_source/*", "fetch_weights/*")),
    "shard_size": (edit_config("shard_size", 10), ("index_source/photos/*",)),
}
REVERTED = (
    "a stage's own function",
    "a value of one network",
    "a renamed experiment",
    "a changed picture",
    "shard_size",
)


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_reruns_exactly_the_jobs_that_depend_on_it(project, finished, graph, edit):
    """And none, if it is reverted before a run."""
    change, starts = EDITS[edit]
    change(project)
    if edit in ("a renamed experiment", "shard_size"):  # other files, so another graph
        graph = project.jobs("--forceall")
    expected = with_descendants(graph, starts)
    assert set(project.jobs()) == expected
    assert bool(expected) == bool(starts)  # the patterns match jobs
    if edit in REVERTED:
        for name in PARTS:
            path = project.root / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            copy_without_times(finished.root / name, path)
        assert project.jobs() == {}


def test_an_edit_that_is_reverted_after_a_run_reruns_the_same_jobs_again(project, graph):
    edit_config("experiments.unmask.gallery", 3)(project)
    assert project.run().returncode == 0
    assert project.jobs() == {}
    project.configure(caching_config())
    assert set(project.jobs()) == with_descendants(graph, ("draw_figures/*", "tabulate_runs"))


def test_a_job_that_makes_the_same_files_again_reruns_nothing_once_it_has_run(project):
    """Snakemake plans before it knows; after the edited stage alone has run, contents decide."""
    edit_code("stages/sources/index_source.py", "import sys", "import string\nimport sys")(project)
    indexes = [f"results/photos/index/{shard:05d}.parquet" for shard in range(2)]
    assert project.run(*indexes, "results/given/index/00000.parquet").returncode == 0
    assert project.jobs() == {}


def test_pictures_with_newer_times_cost_one_look_in_a_full_run(project):
    touch_all_pictures(project)
    assert "Nothing to be done" in project.said()


def test_a_new_clone_with_copied_results_reruns_nothing_and_still_knows_what_made_them(project, tmp_path):
    """The copy keeps no times, and Snakemake's own folder stays behind."""
    clone = Project(tmp_path / "clone")
    clone.root.mkdir()
    for name in ("results", *PARTS):  # results first, so that all else is newer
        copy_without_times(project.root / name, clone.root / name)
    assert clone.jobs() == {}
    edit_config("experiments.unmask.gallery", 3)(clone)
    assert {name.split("/")[0] for name in clone.jobs()} == {"draw_figures", "tabulate_runs", "write_overview"}


def test_more_epochs_continue_a_training_and_say_so(project, graph):
    edit_config("experiments.unmask.edit.training.epochs", 2)(project)
    assert set(project.jobs()) == with_descendants(graph, ("train_network/unmask/edit",))
    said = project.said("results/unmask/checkpoints/edit.safetensors")
    assert "continuing a training of 1 epochs up to 2" in said

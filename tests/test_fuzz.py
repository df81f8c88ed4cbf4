"""Parsers of hostile bytes, fuzzed: whatever is read, the answer is a value or one line, never a traceback or a crash.

`make test` tries a few damaged inputs of each parser, the same ones every time; `make fuzz` tries new ones for some
minutes. The inputs are the files of `fuzz_corpus.py`, with bytes changed, repeated and cut out, or with other values in
their JSON or YAML.
"""

import copy
import json
import os
import pickle
import resource
import shutil
import signal
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
import torch
import yaml
from fuzz_corpus import NAMES, TEXTS, write_corpus
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from workflow_scripts import sources
from workflow_scripts.config.load import load_config
from workflow_scripts.config.sources import CocoSource, FolderSource, VideoSource
from workflow_scripts.core.cli import BadItem, UserError
from workflow_scripts.sources import _celeba_texts as celeba_texts
from workflow_scripts.sources import video
from workflow_scripts.sources._pictures import decode_picture, picture_size
from workflow_scripts.sources._reader import PictureReader
from workflow_scripts.stages.objects.read_objects import read_objects
from workflow_scripts.stages.objects.split_annotations import split_annotations
from workflow_scripts.stages.sources.index_source import index_source
from workflow_scripts.systems.unmask.config import Experiment
from workflow_scripts.systems.unmask.networks import build_network
from workflow_scripts.training.checkpoint import load_network
from workflow_scripts.training.learned import learned

MAX_PIXELS = 250_000
MEMORY, SECONDS = 2 << 30, 20  # of one input; more of either is a finding
ODD = (
    None,
    True,
    -1,
    0,
    1.5,
    2**63,
    10**400,
    1e308,
    float("inf"),
    float("nan"),
    "",
    "x" * 5000,
    "\ud800",
    "\n",
    [],
    {},
)


def fuzz_pictures(path: Path) -> None:
    picture_size(path.read_bytes(), MAX_PIXELS)
    decode_picture(path.read_bytes(), MAX_PIXELS)


def fuzz_archives(path: Path) -> None:
    source = FolderSource(type="folder", path=str(path), max_pixels=MAX_PIXELS)
    with suppress(UserError):  # a start reads less of an archive than a job, which must answer too
        sources.adapter(source).survey(source)
    files = sources.list_files(source).files
    with PictureReader(source) as reader:
        for file in files:
            try:
                reader.read(file.path)
            except BadItem as bad:
                check_line(bad.detail)


def fuzz_videos(path: Path) -> None:
    source = VideoSource(type="video", path=str(path), every=1, max_pixels=MAX_PIXELS)
    for row in video.describe(source, video.list_files(source).files):
        if not isinstance(row, dict):
            check_line(row.detail)


def fuzz_coco(path: Path) -> None:
    """The set that the files are about has the pictures `1.png` and `2.png`, which lie beside a damaged file."""
    source = CocoSource(type="coco", path=str(path.parent), set=".", annotations=(str(path),))
    with tempfile.TemporaryDirectory() as folder:
        index, rejected, *outputs = (Path(folder) / f"{name}.parquet" for name in "abcde")
        index_source(source, 1, 0, 1, index, rejected)
        split_annotations(source, [path], 1, Path(folder) / "entries")
        read_objects(source, Path(folder) / "entries", "00000", index, rejected, *outputs)


def fuzz_celeba(path: Path) -> None:
    celeba_texts.read([celeba_texts.Text(path)], {"000001", "000002"})


def fuzz_sidecars(path: Path) -> None:
    checkpoint = path.with_suffix(".safetensors")
    if not checkpoint.exists():
        save_file(untrained(), checkpoint)
    load_network(checkpoint, torch.device("cpu"))


@cache
def untrained() -> dict[str, torch.Tensor]:
    """Return the tensors of the network that the sidecar of the corpus describes."""
    description = json.loads((TEXTS / "sidecars/map.json").read_text())
    return learned(build_network("map", Experiment(**description["config"])))


def fuzz_config(path: Path) -> None:
    try:
        values = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, ValueError):  # Snakemake reads the file, and says what is wrong with it
        return
    if isinstance(values, dict):  # so does it here
        load_config(values)


PARSERS: dict[str, Callable[[Path], None]] = {
    name.removeprefix("fuzz_"): parser for name, parser in dict(globals()).items() if name.startswith("fuzz_")
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    return folder


def check_line(text: str) -> None:
    assert "\n" not in text.strip() and ("; " in text or ", " in text), f"not one line with the remedy: {text!r}"


def try_parser(parser: Callable[[Path], None], path: Path) -> str:
    """Return what went wrong when a file was read, an empty text if nothing did."""
    try:
        parser(path)
    except BadItem as bad:
        check_line(bad.detail)
    except UserError as error:
        if parser is not fuzz_config:  # which may have several lines, one a fault
            check_line(str(error))
    except MemoryError:
        return "it needs too much memory"
    except BaseException:
        return traceback.format_exc()
    return ""


def outcome(parser: Callable[[Path], None], path: Path) -> str:
    """Return the same from a process of its own, so that a crash, a hang and a lack of memory are findings too."""
    reads, writes = os.pipe()
    if (worker := os.fork()) == 0:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY + resident(), resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), 2)
        os.write(writes, pickle.dumps(try_parser(parser, path)[-3000:]))
        os._exit(0)
    os.close(writes)
    with open(reads, "rb") as file:
        said = file.read()
    status = os.waitpid(worker, 0)[1]
    if os.WIFSIGNALED(status):
        return f"it ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return pickle.loads(said) if said else "it ended without a word"


def resident() -> int:
    """Return the bytes of address space that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


@st.composite
def damaged(draw, data: bytes) -> bytes:
    """Return the bytes with some changed, repeated, cut out or put in."""
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.sampled_from((1, 2, 4, 8, 64, 512)))
        change = draw(st.sampled_from(("change", "repeat", "cut", "insert", "end")))
        if change == "end":
            data = data[:place]
        elif change == "repeat":
            data = data[: place + length] * draw(st.integers(1, 3)) + data[place:]
        else:
            kept = data[place + length :] if change != "insert" else data[place:]
            put = b"" if change == "cut" else draw(st.binary(min_size=length, max_size=length))
            data = data[:place] + put + kept
    return data


@st.composite
def altered(draw, value: object) -> object:
    """Return a tree of lists and dictionaries with odd values in some places, or without some."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        node, depth = value, draw(st.integers(0, 6))
        while isinstance(node, (dict, list)) and node:
            keys = sorted(node, key=str) if isinstance(node, dict) else list(range(len(node)))
            key = draw(st.sampled_from(keys))
            if depth == 0 or not isinstance(node[key], (dict, list)) or not node[key]:
                change = draw(st.sampled_from(("value", "drop", "wrap")))
                if change == "drop":
                    del node[key]
                else:
                    node[key] = [node[key]] * 3 if change == "wrap" else draw(st.sampled_from(ODD))
                break
            node, depth = node[key], depth - 1
    return value


def inputs(seed: Path) -> st.SearchStrategy[bytes]:
    """Return what is made of one file of the corpus."""
    data = seed.read_bytes()
    if seed.suffix == ".json":
        return st.one_of(damaged(data), altered(json.loads(data)).map(lambda value: json.dumps(value).encode()))
    if seed.suffix == ".yaml":
        tree = altered(yaml.safe_load(data))
        return st.one_of(damaged(data), tree.map(lambda value: yaml.safe_dump(value).encode(errors="replace")))
    return damaged(data)


@pytest.mark.parametrize("name", NAMES)
def test_a_parser_answers_with_a_value_or_one_line(corpus, name, tmp_path):
    seed = corpus / name
    parser = PARSERS[seed.parent.name]
    if parser is fuzz_coco:
        for picture in ("1.png", "2.png"):
            shutil.copy(corpus / "pictures" / picture, tmp_path)
    path = tmp_path / seed.name
    path.write_bytes(seed.read_bytes())
    assert not outcome(parser, path), "the file of the corpus itself"

    @settings(settings.get_profile(os.environ.get("FUZZ_PROFILE", "few")))
    @given(inputs(seed))
    def answer(data: bytes) -> None:
        path.write_bytes(data)
        if what := outcome(parser, path):
            raise AssertionError(what)

    answer()


settings.register_profile("few", max_examples=8, derandomize=True, database=None, deadline=None)
settings.register_profile("many", max_examples=300, database=None, deadline=None, print_blob=False)

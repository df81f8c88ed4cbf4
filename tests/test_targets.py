"""The tables of targets say what the rules make."""

import re

import pytest
from projects import ROOT

from workflow_scripts.config.experiments import experiment_type, system_names

RULE = re.compile(r"^rule (\w+):\n(.*?)(?=^\w|\Z)", re.MULTILINE | re.DOTALL)
OUTPUT = re.compile(r"^    output:\n(.*?)^    \w", re.MULTILINE | re.DOTALL)


def outputs_of_rules() -> dict[str, set[str]]:
    """Return rule -> the patterns of its outputs, from the text of the rules."""
    found = {}
    for path in (ROOT / "rules").glob("*.smk"):
        for name, body in RULE.findall(path.read_text()):
            output = OUTPUT.search(body)
            if output:
                found[name] = set(re.findall(r'"(results/[^"]+)"', output[1]))
    return found


@pytest.fixture(scope="module")
def table() -> dict[str, set[str]]:
    """Return stage -> the files that docs/targets.md lists for it."""
    page = (ROOT / "docs/targets.md").read_text()
    rows = re.findall(r"^\| `(results/[^`]+)` \| .* \| \[`(\w+)`\]", page, re.MULTILINE)
    listed: dict[str, set[str]] = {}
    for file, stage in rows:
        listed.setdefault(stage, set()).add(file.rstrip("/"))
    return listed


def test_the_tables_list_every_file_of_every_rule(table):
    assert table == outputs_of_rules()


def test_each_pattern_can_be_asked_for_by_name(table, finished):
    names = {"source": "photos", "experiment": "unmask", "shard": "00000", "network": "edit"}
    other = {"fetch_sample", "fetch_weights", "check_landmarks", "export_pairs"}
    other |= {"fingerprint_pictures", "split_annotations", "read_objects", "collect_rejected_annotations"}
    other |= {"draw_sample_objects", "draw_sample_captions", "read_captions", "export_objects"}
    other |= {"export_network", "export_faces", "export_coco", "export_parquet", "export_webdataset"}
    families = {experiment_type(system).family for system in system_names()} - {"removal"}  # of which the project is
    for rules in ("motion", *families):
        other |= set(re.findall(r"^rule (\w+):", (ROOT / f"rules/{rules}.smk").read_text(), re.MULTILINE))
    files = [file.format(**names) for stage, files in table.items() if stage not in other for file in files]
    assert finished.jobs(*files) == {}
    assert [file for file in files if not (finished.root / file).exists()] == []

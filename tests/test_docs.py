"""The documents point at what is there: links, anchors, files and rules that they name exist."""

import re
from pathlib import Path

import pytest
from projects import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "benchmarks/README.md", ROOT / "results/README.md"])
TYPES = {"folder", "celeba", "video", "pairs", "coco", "sample"}
NOT_DRAWN = {"check_landmarks", "collect_rejected_annotations", "draw_sample_objects", "export_objects", "export_pairs"}
NOT_DRAWN |= {"fetch_sample", "export_motion", "draw_sample_captions", "read_captions"}  # as boxes


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        assert not anchor or file.suffix != ".md" or anchor in anchors(file), target


def test_files_that_the_table_of_questions_names_exist():
    rows = re.findall(r"^\| (?!question)[^|]+ \| (.+) \|$", (ROOT / "docs/where-is-what.md").read_text(), re.M)
    named = {name for row in rows for name in re.findall(r"`([\w./{}-]+/[\w./{}-]*)`", row)}
    assert len(named) > 40
    for name in named:
        if name.startswith("results/"):
            continue
        pattern = re.sub(r"\{\w+\}", "*", name)
        assert any(list(base.glob(pattern)) for base in (ROOT, ROOT / "workflow_scripts")), name


def test_the_picture_of_the_pipeline_shows_the_rules_of_each_phase_that_it_shows():
    names = re.findall(r'class="rule"[^>]*>(\w+)', (ROOT / "docs/pipeline.svg").read_text())
    drawn = set(names) - TYPES - {"snakemake"}
    phases = [set(re.findall(r"^rule (\w+):", path.read_text(), re.M)) for path in (ROOT / "rules").glob("*.smk")]
    shown = [phase for phase in phases if phase & drawn]  # a family of one's own need not be drawn
    assert drawn == set().union(*shown) - NOT_DRAWN


def test_the_rule_that_contributors_are_shown_is_a_real_one():
    (shown,) = re.findall(r"```snakemake\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S)
    assert shown in (ROOT / "rules/faces.smk").read_text()

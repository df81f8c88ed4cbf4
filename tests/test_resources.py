"""Rules ask for the memory and the time that their jobs take, with room to spare."""

import re

from projects import ROOT

from benchmarks.resources import asked, taken

ROOM = 1.25  # times the measured peak
# Made only when asked for, or of data sets that the tables are not of.
NOT_MEASURED = {"export_motion", "export_objects", "export_pairs", "check_landmarks", "score_motion"}
NOT_MEASURED |= {"generate_pictures", "tabulate_memory"}  # of adapters on a text-to-picture model
NOT_MEASURED |= {"export_network", "export_faces", "export_coco", "export_parquet", "export_webdataset"}


def test_no_job_of_a_run_comes_near_what_its_rule_asks_for(finished):
    jobs, limits = taken(finished.root / "results"), asked()
    assert len(jobs) > 15 and jobs["peak"].notna().any()
    for job in jobs.dropna().itertuples():
        assert job.peak * ROOM < limits[job.rule].mem_mb, job
        assert job.seconds * ROOM < 60 * limits[job.rule].runtime, job


def test_the_table_of_measured_peaks_is_that_of_the_rules_and_leaves_room():
    text = (ROOT / "docs/resources.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| \d+ \| [\d.]+ \| [\d.]+ \| (\d+|–) \| (\d+) \| (\d+) \|$", text, re.M)
    assert {name for name, *_ in rows} == asked().keys() - NOT_MEASURED
    for name, peak, memory, runtime in rows:
        assert asked()[name] == (int(memory), int(runtime)), name
        assert peak == "–" or int(peak) * ROOM < int(memory), name

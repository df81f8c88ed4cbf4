"""Results in a bucket: the workflow runs there, a training goes on on another machine, and all can be verified.

The bucket is moto's, a server for tests. `make test` installs it and the plugin; elsewhere these tests are skipped.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from projects import Project

pytest.importorskip("snakemake_storage_plugin_s3", reason="`make s3` has not been run")
moto = pytest.importorskip("moto.server", reason="envs/s3-test.lock is not installed")

NETWORK = "results/unmask/checkpoints/map.safetensors"
TO_BUCKET = ("--shared-fs-usage", "none", "--default-storage-provider", "s3")
TO_BUCKET += ("--default-storage-prefix", "s3://faces/run")


class Bucket:
    """A project whose results lie in a bucket."""

    def __init__(self, project: Project, url: str):
        import boto3

        self.project = project
        self.objects = boto3.resource("s3", endpoint_url=url).Bucket("faces")

    def run(self, *arguments: str) -> str:
        """Run the workflow and return what it printed."""
        return self.project.said(*TO_BUCKET, *arguments)

    def stored(self) -> set[str]:
        return {found.key.removeprefix("run/") for found in self.objects.objects.all()}

    def read(self, key: str) -> bytes:
        return self.objects.Object(f"run/{key}").get()["Body"].read()

    def write(self, key: str, content: bytes) -> None:
        self.objects.put_object(Key=f"run/{key}", Body=content)

    def verify(self) -> subprocess.CompletedProcess:
        """Check the results, as a user does."""
        command = [sys.executable, "-m", "workflow_scripts.provenance.verify_results", "check", "--results"]
        return subprocess.run(
            [*command, "s3://faces/run/results"], cwd=self.project.root, capture_output=True, text=True, check=False
        )


@pytest.fixture(scope="module")
def bucket(tmp_path_factory, astronaut):
    """A network that was trained in a bucket, on a machine that keeps nothing."""
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        url = "http://{}:{}".format(*server.get_host_and_port())
        for name, value in {"ENDPOINT_URL": url, "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}.items():
            patch.setenv(f"AWS_{name}", value)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        made = Bucket(Project.create(tmp_path_factory.mktemp("bucket") / "project", astronaut), url)
        made.run(NETWORK)
        forget(made.project.root)
        yield made
    server.stop()


def forget(root: Path) -> None:
    """Delete all that a run leaves on the machine, as a new node of a cluster has nothing."""
    for name in ("results", ".snakemake"):
        shutil.rmtree(root / name, ignore_errors=True)


def test_all_that_the_workflow_makes_lies_in_the_bucket(bucket, finished):
    keys = bucket.stored()
    assert {NETWORK, "results/unmask/curves/map.parquet", "results/unmask/previews/map/epoch_0001.png"} <= keys
    assert "results/records/jobs/train_network/unmask/map.json" in keys
    assert "results/records/contents/photos/00000.json" in keys
    assert "results/unmask/resume/map/state.safetensors" in keys
    for table in ("photos/index.parquet", "photos/quarantine.parquet", "unmask/splits.parquet"):
        assert bucket.read(f"results/{table}") == (finished.root / "results" / table).read_bytes(), table
    assert bucket.read(NETWORK) == (finished.root / NETWORK).read_bytes()


def test_a_machine_that_has_nothing_finds_all_made(bucket):
    assert "Nothing to be done" in bucket.run(NETWORK)


def test_every_file_in_the_bucket_is_verified(bucket):
    done = bucket.verify()
    assert done.returncode == 0 and "files are what the workflow made" in done.stdout, done.stdout + done.stderr
    assert "results/manifest.json" in bucket.stored()
    index = bucket.read("results/photos/index.parquet")
    bucket.write("results/photos/index.parquet", index[:-1] + b"!")
    done = bucket.verify()
    bucket.write("results/photos/index.parquet", index)
    assert done.returncode == 1
    assert "changed: results/photos/index.parquet is not what merge_index photos made" in done.stdout


def test_a_training_goes_on_on_another_machine_and_its_folder_keeps_nothing_old(bucket):
    config = bucket.project.config()
    config["experiments"]["unmask"]["map"]["training"]["epochs"] = 2
    bucket.project.configure(config)
    bucket.write("results/unmask/previews/map/old.png", b"of another training")
    forget(bucket.project.root)
    said = bucket.run(NETWORK, "--rerun-triggers", "params", "--forcerun", "train_network")
    assert re.search(r"map: continuing a training of 1 epochs up to 2\nmap: going on from step \d+", said)
    previews = {
        key for key in bucket.stored() if key.startswith("results/unmask/previews/map/") and key.endswith("png")
    }
    assert previews == {"results/unmask/previews/map/epoch_0002.png"}


def test_a_job_that_runs_several_rules_on_a_machine_that_has_nothing_stores_what_each_made(bucket):
    made = {"index_source": "index/00000.parquet", "find_landmarks": "landmarks/00000.parquet"}
    made |= {"crop_faces": "crops/00000.arrow"}
    before = {}
    for name in made.values():
        before[name] = bucket.read(f"results/photos/{name}")
        bucket.objects.Object(f"run/results/photos/{name}").delete()
    forget(bucket.project.root)
    group = ("--mode", "remote", "--force", "--local-groupid", "faces", "--allowed-rules", *made, "--target-jobs")
    bucket.run(*group, *(f"{rule}:source=photos,shard=00000" for rule in made))
    assert {name: bucket.read(f"results/photos/{name}") for name in before} == before


def test_a_bucket_that_cannot_be_reached_is_named_with_the_remedy(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for place, done in ("/results", bucket.verify()), ("", bucket.project.run(*TO_BUCKET, NETWORK)):
        assert done.returncode == 1
        errors = [line for line in done.stderr.splitlines() if "rror" in line]
        assert len(errors) == 1, done.stderr
        assert re.match(rf"error: s3://faces/run{place}: .*; check the bucket's name, AWS_ENDPOINT_URL", errors[0])


def test_a_bucket_that_is_not_there_yet_is_no_mistake(bucket):
    said = bucket.project.said(*TO_BUCKET[:-1], "s3://absent/run", "--dry-run", NETWORK)
    assert "This was a dry-run" in said


def test_what_reads_a_folder_alone_says_so_of_a_bucket(bucket):
    command = [
        sys.executable,
        "-m",
        "workflow_scripts.provenance.verify_results",
        "explain",
        f"s3://faces/run/{NETWORK}",
    ]
    done = subprocess.run(command, cwd=bucket.project.root, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: s3://faces/run/{NETWORK} is in a bucket; copy its results to a folder first")

"""Files in a bucket of object storage (S3), beside those that Snakemake's storage plugin brings and stores.

Snakemake stores the outputs of jobs that have succeeded. What must outlive the machine of a job that has not, as the
state of a training, the job stores by itself. Endpoint and credentials are those that boto3 finds, as the plugin does:
`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, or the files of `aws configure`.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from workflow_scripts.core.cli import UserError
from workflow_scripts.core.files import atomic_path

BUCKET = "FACE_WORKFLOW_BUCKET"  # environment variable: s3://bucket/prefix of the run's results; set by the Snakefile
SCHEME = "s3://"


def check_bucket(url: str) -> None:
    """Ask a bucket once, so that a run that cannot use it ends at its start. The plugin makes one that is missing.

    Raises:
        UserError: it is none, or cannot be reached, or the credentials are not right.
    """
    if not url.startswith(SCHEME):
        raise UserError(f"--default-storage-prefix {url!r}: write {SCHEME}bucket/prefix")
    with _reaching(url) as (bucket, key), suppress(bucket.meta.client.exceptions.NoSuchBucket):
        list(bucket.objects.filter(Prefix=key).limit(1))


def store(path: Path) -> None:
    """Copy a file to the run's bucket, where results lie in one, under its path relative to the working folder.

    Raises:
        UserError: the bucket cannot be written.
    """
    if url := _url_of(path):
        put(path, url)


def bring(path: Path) -> None:
    """Replace a file by that of the run's bucket, where results lie in one and there is such a file in it.

    Raises:
        UserError: the bucket cannot be read.
    """
    if url := _url_of(path):
        with _reaching(url) as (bucket, key):
            if any(found.key == key for found in bucket.objects.filter(Prefix=key)):
                with atomic_path(path) as temporary:
                    bucket.download_file(key, str(temporary))


def put(path: Path, url: str) -> None:
    """Copy a file to a place in a bucket.

    Raises:
        UserError: the bucket cannot be written.
    """
    with _reaching(url) as (bucket, key):
        bucket.upload_file(str(path), key)


@contextmanager
def copied(url: str) -> Iterator[Path]:
    """Yield a folder `results` with a copy of all files below `url`, for as long as it is needed.

    Raises:
        UserError: the bucket cannot be read, or has no such files.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "results"
        with _reaching(url) as (bucket, prefix):
            for found in bucket.objects.filter(Prefix=f"{prefix}/"):
                file = folder / found.key.removeprefix(f"{prefix}/")
                file.parent.mkdir(parents=True, exist_ok=True)
                bucket.download_file(found.key, str(file))
        if not folder.is_dir():
            raise UserError(f"{url} has no files; write s3://bucket/prefix/results")
        yield folder


def _url_of(path: Path) -> str | None:
    prefix = os.environ.get(BUCKET)
    return f"{prefix.rstrip('/')}/{os.path.relpath(path)}" if prefix else None


@contextmanager
def _reaching(url: str) -> Iterator[tuple[Any, str]]:
    """Yield the bucket, of boto3, and the key that a URL names.

    Raises:
        UserError: boto3 is not installed, or what is done with the bucket fails.
    """
    try:
        import boto3
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError as error:
        raise UserError(f"{url}: object storage needs packages that are not installed; run `make s3`") from error
    name, _, key = url.removeprefix(SCHEME).partition("/")
    try:
        yield boto3.resource("s3").Bucket(name), key.rstrip("/")
    except (Boto3Error, BotoCoreError, ClientError) as error:
        raise UserError(
            f"{url}: {error}; check the bucket's name, AWS_ENDPOINT_URL and the credentials (docs/object-storage.md)"
        ) from error

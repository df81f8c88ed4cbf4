"""Archives as sources: what they are known by, and how many members they have."""

import os

from source_files import COUNT, IMAGES, PICTURES, celeba, shard_digests, zipped

from workflow_scripts import sources


def test_an_archive_is_known_by_what_its_members_contain(tmp_path):
    archive = tmp_path / "in.zip"
    archive.write_bytes(zipped(PICTURES))
    before = shard_digests(celeba(archive), 1, tmp_path / "records")
    os.utime(archive, ns=(5, 5))
    assert shard_digests(celeba(archive), 1, tmp_path / "records") == before
    name, data = next(iter(PICTURES.items()))
    archive.write_bytes(zipped(PICTURES | {name: data[:-1] + bytes([data[-1] ^ 1])}))
    assert shard_digests(celeba(archive), 1, tmp_path / "records") != before


def test_members_of_an_archive_are_counted_without_reading_its_directory(tmp_path):
    files = {f"{IMAGES}/{number:06d}.jpg": b"" for number in range(70_000)}  # more than the old format can count
    (tmp_path / "many.zip").write_bytes(zipped(files))
    assert sources.shard_count(celeba(tmp_path / "many.zip"), 66_000) == 2
    (tmp_path / "few.zip").write_bytes(zipped(PICTURES))
    assert sources.shard_count(celeba(tmp_path / "few.zip"), COUNT) == 1
    assert sources.shard_count(celeba(tmp_path / "few.zip"), COUNT - 1) == 2

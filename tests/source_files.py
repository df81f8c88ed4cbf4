"""Files of sources that several test files write, and the index of what they hold."""

import io
import zipfile
from pathlib import Path

from PIL import Image

from workflow_scripts import sources
from workflow_scripts.config.sources import CelebaSource
from workflow_scripts.core.tables import read_table
from workflow_scripts.sources._contents import listing_digest, write_contents
from workflow_scripts.stages.sources.index_source import index_source

COUNT = 6
NAMES = [f"{number:06d}.jpg" for number in range(1, COUNT + 1)]
IMAGES = "img_align_celeba"


def jpeg(shade: int, size: tuple[int, int] = (178, 218)) -> bytes:
    """A picture of one grey level, so that two shades differ."""
    data = io.BytesIO()
    Image.new("L", size, shade).save(data, "JPEG")
    return data.getvalue()


PICTURES = {name: jpeg(10 * number) for number, name in enumerate(NAMES, 1)}
OFFICIAL = {
    "list_eval_partition.txt": "".join(f"{name} {number // 2}\n" for number, name in enumerate(NAMES)),
    "list_landmarks_align_celeba.txt": f"{COUNT}\nlefteye_x lefteye_y righteye_x righteye_y nose_x nose_y "
    "leftmouth_x leftmouth_y rightmouth_x rightmouth_y\n"
    + "".join(f"{name}    69  109  106  113   77  142   73  152  108  {number}\n" for number, name in enumerate(NAMES)),
    "list_attr_celeba.txt": f"{COUNT}\nSmiling Eyeglasses \n" + "".join(f"{name}  1 -1\n" for name in NAMES),
    "identity_CelebA.txt": "".join(f"{name} {2880 + number % 2}\n" for number, name in enumerate(NAMES)),
}
KAGGLE = {
    "list_eval_partition.csv": "image_id,partition\n"
    + "".join(f"{name},{number // 2}\n" for number, name in enumerate(NAMES)),
    "list_landmarks_align_celeba.csv": "image_id,lefteye_x,lefteye_y,righteye_x,righteye_y,nose_x,nose_y,"
    "leftmouth_x,leftmouth_y,rightmouth_x,rightmouth_y\n"
    + "".join(f"{name},69,109,106,113,77,142,73,152,108,{number}\n" for number, name in enumerate(NAMES)),
    "list_attr_celeba.csv": "image_id,Smiling,Eyeglasses\n" + "".join(f"{name},1,-1\n" for name in NAMES),
}


def write(folder: Path, files: dict[str, bytes | str]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return folder


def below(prefix: str, files: dict) -> dict:
    return {f"{prefix}/{name}": data for name, data in files.items()}


def zipped(files: dict[str, bytes | str]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def official_texts(prefix: str = "") -> dict:
    return {
        f"{prefix}{'Eval' if name == 'list_eval_partition.txt' else 'Anno'}/{name}": text
        for name, text in OFFICIAL.items()
    }


def index(source, folder: Path, shards: int = 1, seed: int = 1):
    """Index all shards; return the rows and the quarantine rows, each one table."""
    tables = [], []
    for shard in range(shards):
        paths = folder / f"{shard}.parquet", folder / f"{shard}.quarantine.parquet"
        index_source(source, seed, shard, shards, *paths)
        for table, path in zip(tables, paths, strict=True):
            table.extend(read_table(path).to_dict("records"))
    return tables


def celeba(path: Path) -> CelebaSource:
    return CelebaSource(type="celeba", path=str(path))


def shard_digests(source, shards: int, records: Path, note: bool = False) -> list[str]:
    """Return the digest of each shard as a new start finds it; `note` what the shards contain, as the jobs do."""
    for cached in (sources._listed, sources.shard_listings):
        cached.cache_clear()
    parts = sources.shard_listings(source, shards)
    digests = [listing_digest(part, records / f"{shard}.json") for shard, part in enumerate(parts)]
    if note:
        for shard, part in enumerate(parts):
            write_contents(records / f"{shard}.json", digests[shard], part)
    return digests

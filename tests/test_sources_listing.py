"""The listing of sources at the start of the Snakefile."""

import subprocess
import sys
import tarfile
from pathlib import Path

from source_files import NAMES, PICTURES, write


def test_listing_imports_nothing_heavy(tmp_path):
    """The Snakefile lists the sources at every start, in every job of a cluster."""
    with tarfile.open(write(tmp_path, PICTURES | {"clip.mp4": b""}) / "photos.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / NAMES[0], NAMES[0])
    code = (
        "import sys; from pathlib import Path; from workflow_scripts import sources\n"
        "from workflow_scripts.sources._contents import listing_digest\n"
        "from workflow_scripts.config.sources import *\n"
        "for source in (FolderSource(type='folder', path=sys.argv[1]), CelebaSource(type='celeba', path=sys.argv[1]),\n"
        "    PairsSource(type='pairs', clean=sys.argv[1], occluded=sys.argv[1]), SampleSource(type='sample'),\n"
        "    VideoSource(type='video', path=sys.argv[1]),\n"
        "    FolderSource(type='folder', path=f'{sys.argv[1]}/photos.tar.gz')):\n"
        "    listing_digest(sources.shard_listings(source, sources.shard_count(source, 10))[0], Path('absent'))\n"
        "print(*{'PIL', 'pandas', 'pyarrow', 'cv2', 'av', 'torch'} & set(sys.modules))"
    )
    root = Path(__file__).parent.parent
    command = [sys.executable, "-c", code, str(tmp_path)]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""

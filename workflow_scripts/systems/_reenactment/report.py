"""The family's part of the page and of the report."""

from pathlib import Path

from workflow_scripts.systems._reenactment.config import ReenactmentExperiment

SHOWN_VIDEOS = 4  # of an experiment at most; further ones are only counted
# Beginning of a figure's name -> what it shows; {rest} is the rest of the name.
CAPTIONS = {
    "first_look": "Left of each pair a frame of the driver, right of it the face that was learned, painted with the "
    "driver's expression and movement. Nobody ever made this face in front of a camera.",
    "gallery_": "Held-out frames of {rest}, never trained on, at equal distances from the best to the worst by PSNR. "
    "Nearest: the training frame whose landmarks are nearest to the drawn ones.",
    "applied_": "Frames of {rest}, which drives, at equal distances from the least to the largest landmark error.",
    "time_": "Landmark error and change from the frame before, frame by frame, of output, nearest training frame and "
    "driver.",
}

# What the page says where fewer than so many frames were learned from.
FEW = 1000
FEW_SHOW = (
    "So few show that the face follows its driver, blurred as it is. A sharp one takes a minute of video and an hour "
    "of training."
)


def view(_experiment: ReenactmentExperiment, folders: dict[str, Path]) -> dict:
    """Return what its templates need beside what the templates of every system are given.

    Args:
        folders: the experiment's `shown_folders`, by their names.

    Returns:
        `videos`, see `find_videos`, and `more_videos`, the number of those that are not shown.
    """
    videos = [video for folder in folders.values() for video in find_videos(folder)]
    videos.sort(key=lambda video: video["sheet"])
    return {"videos": videos[:SHOWN_VIDEOS], "more_videos": len(videos[SHOWN_VIDEOS:])}


def find_videos(folder: Path) -> list[dict]:
    """Return the videos of one source: `source`, `whole` (the file's name), `page` (what is shown), `sheet`."""
    from workflow_scripts.reporting.films import PAGE  # here: captions are read at every start

    found = []
    for sheet in sorted(folder.glob("*.png")):
        whole, page = sheet.with_suffix(".mp4"), sheet.with_name(f"{sheet.stem}{PAGE}.mp4")
        film = {"source": sheet.parent.name, "whole": whole.name, "sheet": sheet, "shortened": page.exists()}
        found.append(film | {"page": page if page.exists() else whole})
    return found

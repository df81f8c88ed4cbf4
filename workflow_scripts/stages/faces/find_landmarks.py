"""Stage: find the faces of one shard of pictures, and 68 landmarks of each."""

if __name__ == "__main__":  # before the other imports, so that the parent of the workers stays small
    from workflow_scripts.core import guard

    guard.supervise()

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from operator import attrgetter
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from workflow_scripts.config.sources import BaseSource, FaceSearch, Weights
from workflow_scripts.core import cli, guard
from workflow_scripts.core.cli import BadItem
from workflow_scripts.core.tables import LANDMARKS, Quarantine, read_rows, write_table
from workflow_scripts.faces.detection import NO_WEIGHTS, Found, detect_faces, is_sure, smallest_face, whole_picture
from workflow_scripts.faces.dlib68.shape_predictor import BLOCK_FACES
from workflow_scripts.faces.face import CENTERFACE, CENTERFACE_MEAN, Face, Picture
from workflow_scripts.faces.landmarks import LandmarkModel, Patch, face_patch
from workflow_scripts.faces.priors import mean_landmarks, prior_face
from workflow_scripts.faces.tracks import Shot
from workflow_scripts.provenance.stage import Input, Output, stage_command
from workflow_scripts.sources._pictures import BadPicture, check_light
from workflow_scripts.sources._reader import PictureReader

STAGE = "find_landmarks"
SMALLEST = 8  # pixels; the least `faces.min_size`
COLUMNS = ["item", "file", "frame", "time", "shot", "points", "box"]


def find_landmarks(
    source: BaseSource, index: Input, model: Input, output: Output, quarantine: Output, weights: Weights = NO_WEIGHTS
) -> None:
    """Write the `landmarks` table of one shard: one row per face, sorted by item and rank.

    In a video, faces are followed through each shot (`faces/tracks.py`).

    Args:
        source: its `faces` and `max_pixels` keys, and where its pictures are.
        index: the shard's part of the index. Of a pair, the clean picture is searched.
        model: `LandmarkModel`'s file.
        output: the table.
        quarantine: items whose picture cannot be read, is nearly black or shows no face, or whose chosen face's
            landmarks do not settle. Other faces whose landmarks do not settle have no row. CenterFace's get those of
            the mean face.
        weights: the files of the detector, where it needs some.

    Raises:
        UserError: the files of the detector's weights cannot be used.
    """
    cv2.setNumThreads(1)
    rejected = Quarantine(STAGE)
    rows = read_rows(index, COLUMNS)
    singles = [row for row in rows if row.shot is None]  # frames of the embedded sample are such, too
    frames = [row for row in rows if row.shot is not None]
    with PictureReader(source) as reader, tqdm(None, STAGE, len(rows), mininterval=2, file=sys.stderr) as progress:
        search = _Search(source.faces, LandmarkModel(model), weights, reader, rejected, progress)
        found = [*search.pictures(singles), *search.videos(frames)]
    found.sort(key=attrgetter("item", "rank"))
    points = np.array([row.points for row in found], np.float32).reshape(-1, 68, 2)
    others = [row.columns() for row in found]
    columns = {name: [row[place] for row in others] for place, name in enumerate(LANDMARKS.names[:9])}
    columns |= zip(LANDMARKS.names[9:], points.T.reshape(2 * 68, len(found)), strict=True)  # all x, all y
    write_table(output, columns, LANDMARKS)
    rejected.write(quarantine)


class Row(NamedTuple):
    """A face with its landmarks (68, 2), its rank in its item, and for a frame the number of its track."""

    item: str
    rank: int
    track: int | None
    face: Face
    points: np.ndarray

    def columns(self) -> tuple:
        """Return the columns of the table that are no points."""
        face = self.face
        box = face.left, face.top, face.right, face.bottom
        return self.item, self.rank, self.track, *box, face.score, face.detector


@dataclass
class _Search:
    """What all searches of a shard share."""

    config: FaceSearch
    model: LandmarkModel
    weights: Weights
    reader: PictureReader
    rejected: Quarantine
    progress: tqdm

    def pictures(self, index: Sequence) -> list[Row]:
        """Return the faces of pictures.

        Landmarks of many pictures at once are several times faster. So they also confirm doubtful detections
        afterwards, and pictures in which they do not are searched again.
        """
        refused: dict[str, Face] = {}
        rows = self._settled_rows(index, refused, again=False)
        kept = [row for row in rows if row.item not in refused]
        return kept + self._settled_rows([row for row in index if row.item in refused], refused, again=True)

    def _settled_rows(self, index: Sequence, refused: dict[str, Face], again: bool) -> list[Row]:
        rows = []
        faces = self._faces_of_pictures(index, refused, again)
        while block := list(islice(faces, BLOCK_FACES)):
            predicted = self._landmarks([face for _, _, face, _ in block], [patch for *_, patch in block])
            for (item, rank, *_), (face, points, settled) in zip(block, predicted, strict=True):
                if settled:
                    rows.append(Row(item, rank, None, face, points))
                elif rank == 0 and not again and face.score is not None and not is_sure(face, self.config):
                    refused[item] = face
                elif rank == 0:
                    self.rejected.add(item, "landmarks do not settle", _unsettled(item, face))
        return rows

    def _faces_of_pictures(
        self, index: Sequence, refused: dict[str, Face], again: bool
    ) -> Iterator[tuple[str, int, Face, Patch]]:
        """Yield item, rank, face and its patch for every face of every picture."""
        for row in index:
            self.progress.update(not again)
            picture = self._read(row)
            if picture is None:
                continue
            given = prior_face(self.config.prior, row.points, row.box)
            try:
                with guard.working(row.item):
                    if given:
                        found = Found([given])
                    elif again:
                        found = detect_faces(picture, self.config, self.model, self.weights, [refused[row.item]])
                    else:
                        found = detect_faces(picture, self.config, None, self.weights)
            except BadItem as bad:
                self.rejected.add(row.item, bad.reason, bad.detail)
                continue
            if not found.faces:
                self.rejected.add(row.item, "no face", _no_face(row.item, picture, self.config, found))
            for rank, face in enumerate(found.faces):
                yield row.item, rank, face, face_patch(picture, face)

    def videos(self, index: Sequence) -> list[Row]:
        """Return the faces of frames, followed through each shot."""
        shots: dict[tuple, list] = {}
        for row in index:
            shots.setdefault((row.file, row.shot), []).append(row)
        return [row for frames in shots.values() for row in self._shot(sorted(frames, key=attrgetter("frame")))]

    def _shot(self, frames: Sequence) -> list[Row]:
        shot = Shot(self.config, self.model, self.weights)
        seen: dict[str, list[tuple[int, Face, np.ndarray, bool]]] = {}
        rows = []
        for frame in frames:
            self.progress.update()
            picture = self._read(frame)
            if picture is None:
                continue
            alone = prior_face(self.config.prior, frame.points, frame.box)
            if alone is None:
                try:
                    with guard.working(frame.item):
                        followed, found = shot.follow(picture, frame.time)
                except BadItem as bad:
                    self.rejected.add(frame.item, bad.reason, bad.detail)
                    continue
                if followed:
                    numbers, faces = zip(*followed, strict=True)
                    predicted = self._landmarks(faces, [face_patch(picture, face) for face in faces])
                    seen[frame.item] = [(number, *rest) for number, rest in zip(numbers, predicted, strict=True)]
                elif self.config.on_no_face == "whole":
                    alone = whole_picture(picture)
                else:
                    self.rejected.add(frame.item, "no face", _no_face(frame.item, picture, self.config, found))
            if alone is not None:
                (points,), (settled,) = self.model.predict([alone], [face_patch(picture, alone)])
                if settled:
                    rows.append(Row(frame.item, 0, None, alone, points))
                else:
                    self.rejected.add(frame.item, "landmarks do not settle", _unsettled(frame.item, alone))
        tracks = {number: track for track, number in enumerate(shot.order())}
        for item, faces in seen.items():
            rows += self._numbered(item, sorted((tracks[number], *rest) for number, *rest in faces), len(tracks))
        return rows

    def _landmarks(self, faces: Sequence[Face], patches: Sequence[Patch]) -> Iterator[tuple[Face, np.ndarray, bool]]:
        """Yield faces with their landmarks (68, 2), and whether these are settled.

        Where a mask keeps landmarks from settling, CenterFace has seen the face all the same: those of the mean face
        take their place, and the face's detector says so.
        """
        for face, points, settled in zip(faces, *self.model.predict(faces, patches), strict=True):
            if not settled and face.detector == CENTERFACE:
                yield replace(face, detector=CENTERFACE_MEAN), mean_landmarks(face), True
            else:
                yield face, points, settled

    def _numbered(self, item: str, faces: list[tuple[int, Face, np.ndarray, bool]], tracks: int) -> list[Row]:
        """Return the rows of one frame's faces, each with its track, and record why the chosen one has none."""
        chosen = self.config.track
        mine = [face for track, face, _, _ in faces if track == chosen]
        if chosen >= tracks:
            detail = f"its shot has {tracks} faces that are followed; write faces.track: {tracks - 1} or less"
            self.rejected.add(item, "no such track", f"{item}: {detail}")
        elif not mine:
            detail = "shows other faces, but not the one that is followed in its shot; another one: faces.track"
            self.rejected.add(item, "followed face not found", f"{item}: {detail}")
        rows = []
        for track, face, points, settled in faces:
            if settled:
                rank = 0 if track == chosen else 1 + sum(row.track != chosen for row in rows)
                rows.append(Row(item, rank, track, face, points))
            elif track == chosen:
                self.rejected.add(item, "landmarks do not settle", _unsettled(item, face))
        return rows

    def _read(self, row) -> Picture | None:
        """Return the picture of a row of the index, or None where it cannot be read, which is recorded."""
        try:
            pixels = self.reader.read(row.file, row.frame)
            check_light(row.item, pixels)
            return Picture(pixels)
        except BadPicture as bad:
            self.rejected.add(row.item, bad.reason, bad.detail)
            return None


def _no_face(item: str, picture: Picture, config: FaceSearch, found: Found) -> str:
    """Return what was searched for, and what can help where there is a face."""
    limit = smallest_face(picture.size, config)
    possible = smallest_face(picture.size, config.model_copy(update={"min_size": SMALLEST}))
    remedies = []
    if limit > config.min_size:
        remedies.append(f"cut it into parts, as its {picture.size[0]}x{picture.size[1]} pixels hide smaller faces")
    elif possible < config.min_size:
        remedies.append(f"lower faces.min_size, down to {possible}")
    refused = ""
    if found.refused:
        surest = max(found.refused, key=lambda face: face.score)
        refused = f" ({len(found.refused)} doubtful, of score {surest.score:.2f} by {surest.detector}, not confirmed)"
        remedies.append(f"set faces.min_score below {surest.score:.2f}")
    if config.detector != "centerface":
        remedies.append("set faces.detector: centerface for a face with a mask")
    remedies.append("set faces.on_no_face: whole for a tight crop of a face")
    ways = ", or ".join(remedies)
    return f"{item}: no face of {limit} pixels or more{refused}, so it is left out; where it shows one, {ways}"


def _unsettled(item: str, face: Face) -> str:
    x, y = face.center
    return (
        f"{item}: the landmarks of the face at {x:.0f}, {y:.0f} change when it is turned or mirrored, as where it is "
        "hidden, blurred or seen from the side; leave it out or give a clearer one"
    )


main = stage_command(find_landmarks)


if __name__ == "__main__":
    cli.run(main)

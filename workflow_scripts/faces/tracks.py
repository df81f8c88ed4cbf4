"""Following faces through the frames of a shot, so that a video shows one person and does not jump between people.

A face follows the track whose last box it overlaps. Where that is not clear, because people cross, move fast or were
hidden for a while, the descriptors of the faces decide (`descriptors.py`). A face that follows no track begins one.
A track's face that the search of the whole frame did not find, mostly because it found another one at a faster step, is
searched for around its last place.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workflow_scripts.config.sources import FaceSearch, Weights
from workflow_scripts.faces.centerface import SURE
from workflow_scripts.faces.descriptors import face_descriptors
from workflow_scripts.faces.detection import Found, detect_faces, rank_key
from workflow_scripts.faces.face import CENTERFACE, Face, Picture, overlap, square_face
from workflow_scripts.faces.landmarks import LandmarkModel, face_patch

FOLLOWED = 0.3  # intersection over union of a face with a track's last box from which on it may be its next face
CLEAR = 2.0  # it clearly is if no other pair of the same face or track overlaps more than the overlap over this
SAME_PERSON = 0.6  # distance of descriptors below which dlib's network takes two faces for one person's
SEARCHED_SECONDS = 0.5  # for how long a lost face is searched for around its last place, and at least one frame
SEARCHED_SIDE = 3  # side of what is searched, over the face's width
START_SECONDS = 1.0  # a track that begins within this time after a shot's first face was there at its start
LASTING = 0.5  # of the frames of a shot's longest track: a track with fewer is chosen only if there is no other


@dataclass
class Track:
    """One face through a shot.

    Attributes:
        number: by the order in which tracks began, from 0.
        face: where it was seen last.
        time: when, in seconds.
        frame: when, by the number of frames since the shot's begin.
        descriptor: float64 (128,), of its first face.
        start: when it was seen first, in seconds.
        rank: of its first face, by which `choose` sorts faces.
        frames: in how many frames it was seen.
    """

    number: int
    face: Face
    time: float
    frame: int
    descriptor: np.ndarray
    start: float
    rank: tuple
    frames: int = 0


class Shot:
    """Follows the faces of one shot; `follow` must be called with each of its frames, in order.

    Args:
        config: how faces are searched for, and which is chosen.
        model: the landmark model.
        weights: the files of the detector, where it needs some.
    """

    def __init__(self, config: FaceSearch, model: LandmarkModel, weights: Weights):
        self._config = config.model_copy(update={"on_no_face": "quarantine"})
        self._model, self._weights = model, weights
        self._tracks: list[Track] = []
        self._frame = -1

    def follow(self, picture: Picture, time: float) -> tuple[list[tuple[int, Face]], Found]:
        """Return the faces of a frame, each with the number of its track, and what the search of the frame ended with.

        Args:
            picture: the frame.
            time: its presentation time in seconds.

        Raises:
            UserError: the detector's weights cannot be used.
        """
        self._frame += 1
        found = detect_faces(picture, self._config, self._model, self._weights)
        faces = list(found.faces)
        matched = self._match(picture, faces, time)
        for track in self._tracks:
            if track.number not in matched and self._is_recent(track, time):
                near = [face for face in self._search_near(picture, track.face) if _is_new(face, faces)]
                if near:
                    faces.append(max(near, key=lambda face: overlap(face, track.face)))
                    matched[track.number] = len(faces) - 1
        for place in sorted({*range(len(faces))} - {*matched.values()}):
            number, face = len(self._tracks), faces[place]
            matched[number] = place
            rank = rank_key(face, picture.size, self._config.choose)
            descriptor = self._descriptor(picture, face)
            self._tracks.append(Track(number, face, time, self._frame, descriptor, time, rank))
        for number, place in matched.items():
            track = self._tracks[number]
            track.face, track.time, track.frame = faces[place], time, self._frame
            track.frames += 1
        return [(number, faces[place]) for number, place in sorted(matched.items())], found

    def order(self) -> list[int]:
        """Return the numbers of the shot's tracks, the one that is followed first.

        Of the tracks that last and were there at the shot's start, `choose` decides; then come those that began later,
        and at the end those that are brief, as a detector's errors are.
        """
        lasting = LASTING * max((track.frames for track in self._tracks), default=0)
        start = min((track.start for track in self._tracks if track.frames >= lasting), default=0.0)

        def key(track: Track) -> tuple:
            return track.frames < lasting, max(track.start - start - START_SECONDS, 0), track.rank, track.number

        return [track.number for track in sorted(self._tracks, key=key)]

    def _match(self, picture: Picture, faces: list[Face], time: float) -> dict[int, int]:
        """Return number of a track -> place of its face in `faces`, for those that follow one."""
        overlaps = np.array([[overlap(track.face, face) for face in faces] for track in self._tracks])
        if not overlaps.size:
            return {}
        overlaps[[not self._is_recent(track, time) for track in self._tracks]] = 0
        matched: dict[int, int] = {}
        for number, place in np.argwhere(overlaps >= FOLLOWED).tolist():
            others = np.concatenate([np.delete(overlaps[number], place), np.delete(overlaps[:, place], number)])
            if not (others > overlaps[number, place] / CLEAR).any():
                matched[number] = place
        tracks = [track for track in self._tracks if track.number not in matched]
        places = [place for place in range(len(faces)) if place not in matched.values()]
        if tracks and places:
            found = np.array([self._descriptor(picture, faces[place]) for place in places])
            known = np.array([track.descriptor for track in tracks])
            distances = np.linalg.norm(known[:, None] - found[None], axis=2)
            for row, column in zip(*np.unravel_index(np.argsort(distances, axis=None), distances.shape), strict=True):
                number, place = tracks[row].number, places[column]
                if distances[row, column] < SAME_PERSON and number not in matched and place not in matched.values():
                    matched[number] = place
        # People who cannot be told apart, or whose faces turn away, are where they were.
        for flat in np.argsort(-overlaps, axis=None, kind="stable").tolist():
            number, place = divmod(flat, len(faces))
            free = number not in matched and place not in matched.values()
            if free and overlaps[number, place] >= FOLLOWED:
                matched[number] = place
        return matched

    def _is_recent(self, track: Track, time: float) -> bool:
        return track.frame == self._frame - 1 or time - track.time <= SEARCHED_SECONDS

    def _search_near(self, picture: Picture, face: Face) -> list[Face]:
        """Return the faces that are found around a face's last place and overlap it."""
        side = SEARCHED_SIDE * face.width
        left, top = (max(0, round(middle - side / 2)) for middle in face.center)
        right, bottom = (
            min(end, round(middle + side / 2)) for end, middle in zip(picture.size, face.center, strict=True)
        )
        if right - left < 2 or bottom - top < 2:
            return []
        part = Picture(np.ascontiguousarray(picture.rgb[top:bottom, left:right]))
        size = max(self._config.min_size, round(face.width / 2))
        config = self._config.model_copy(update={"min_size": size, "choose": "central"})
        found = [
            square_face(one.center[0] + left, one.center[1] + top, one.width, one.score, one.detector, one.tilt)
            for one in detect_faces(part, config, self._model, self._weights).faces
        ]
        # In so small a part, every face is wide, which is no reason for CenterFace to be sure of it.
        found = [one for one in found if one.detector != CENTERFACE or one.score >= SURE]
        return [one for one in found if overlap(one, face) >= FOLLOWED]

    def _descriptor(self, picture: Picture, face: Face) -> np.ndarray:
        (points,) = self._model.predict([face], [face_patch(picture, face)]).points
        return face_descriptors([picture.rgb], points)[0]


def _is_new(face: Face, faces: Sequence[Face]) -> bool:
    return all(overlap(face, other) < FOLLOWED for other in faces)

"""The sound of a user's video, taken over into another one."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av

from workflow_scripts.core import guard
from workflow_scripts.core.files import open_regular
from workflow_scripts.sources._decoding import SAFETY

COPIED = ("aac", "mp3", "ac3", "eac3", "alac")  # what players of MP4 know is copied, all else is encoded as AAC


class Sound:
    """The first sound of a video, in a `with` statement; a video without one, or with a damaged one, is silent.

    What of the sound lies before the first frame is left out. Where it cannot be decoded, it ends.

    Args:
        path: the video.
    """

    def __init__(self, path: Path):
        self._path = path
        self._packets: Iterator[av.Packet] = iter(())
        self._next: av.Packet | None = None

    def __enter__(self) -> "Sound":
        self._file = open_regular(self._path)
        self._source = av.open(self._file, options=SAFETY)
        return self

    def __exit__(self, *_) -> None:
        self._source.close()
        self._file.close()

    def begin(self, container: av.container.OutputContainer, start: float) -> None:
        """Add a stream of sound to a container.

        Args:
            container: open for writing, before its first packet.
            start: time of the first frame in the video, in seconds.
        """
        sounds = [stream for stream in self._source.streams.audio if stream.codec_context is not None]
        if not sounds:
            return
        if sounds[0].codec_context.name in COPIED:
            target = container.add_stream_from_template(sounds[0])
            packets = self._source.demux(sounds[0])
        else:
            layout = "mono" if sounds[0].channels == 1 else "stereo"
            target = container.add_stream("aac", rate=sounds[0].rate, layout=layout)
            packets = self._encoded(sounds[0], target)
        self._packets = self._shifted(packets, target, start)

    def until(self, seconds: float) -> list[av.Packet]:
        """Return the next packets, those that begin before a time, in seconds from the first frame."""
        due = []
        for packet in chain([self._next] if self._next is not None else (), self._packets):
            self._next = None
            if packet.pts * packet.time_base >= seconds:
                self._next = packet
                break
            due.append(packet)
        return due

    def _encoded(self, source: av.AudioStream, target: av.AudioStream) -> Iterator[av.Packet]:
        resampler = av.AudioResampler(format=target.codec_context.format, layout=target.layout, rate=target.rate)
        for frame in chain(self._source.decode(source), [None]):
            for resampled in resampler.resample(frame):
                yield from target.encode(resampled)
        yield from target.encode(None)

    @staticmethod
    def _shifted(packets: Iterator[av.Packet], target: av.AudioStream, start: float) -> Iterator[av.Packet]:
        """Yield packets with their times counted from the first frame, as far as they can be read."""
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                return
            if packet is None:
                return
            if packet.pts is None or packet.dts is None:  # the end, or damaged
                continue
            guard.go_on()
            shift = round(Fraction(start).limit_denominator(10**6) / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            if packet.pts < 0:
                continue
            packet.stream = target
            yield packet

"""Observations about images, made while they are decoded."""

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field

from ..checks import counted
from .decode import Decoded, digest

# Pillow has two names for JPEG files: MPO is a JPEG with several pictures, as phones write it.
_SAME = {"MPO": "JPEG"}
_MOST_NAMES = 3  # of damaged files
_MANY = 0.1  # share of a side; with more left out, what is left may be of other kinds than what is not
_PRIME, _BASE = (1 << 127) - 1, 0x2545F4914F6CDD1D9E3779B97F4A7C15  # of `Tally.content`; any large base serves
MOST_DIGESTS = 1 << 20  # copies are looked for among so many images; a set of millions would fill the memory


@dataclass(frozen=True)
class Seen:
    """Observations about one image. If it is left out, `rejected` is the reason; nothing else is set if not decoded."""

    losses: tuple[str, ...] = ()
    largest: int = 0
    size: tuple[int, int] = (0, 0)
    encoding: str | None = None
    quality: int | None = None
    digest: int = 0
    damage: str = ""
    rejected: str | None = None

    @classmethod
    def of(cls, image: Decoded) -> "Seen":
        """Return the observations about a decoded image."""
        height, width, _ = image.pixels.shape
        return cls(
            losses=image.losses,
            largest=int(image.pixels.max()) if image.encoding is None else 255,  # image files are always 0...255
            size=(height, width),
            encoding=_SAME.get(image.encoding or "", image.encoding),
            quality=image.quality,
            digest=digest(image.pixels) if image.digest is None else image.digest,
            damage=image.damage,
        )


@dataclass
class Tally:
    """Counts over one side of a comparison.

    Attributes
    ----------
    rejected : list of str
        The images that could not be decoded, with the reason.
    losses : Counter of str
        Number of images for each kind of loss in the conversion to 8-bit RGB.
    largest : int
        Largest pixel value of the images from memory; 255 if there are files.
    sizes : Counter of (height, width)
    encodings : Counter of str
        Pillow's names of the file formats; images from memory have none.
    qualities : Counter of int
        Qualities of the JPEG files.
    digests : set of int
        Hashes of the images' bytes, of at most `MOST_DIGESTS` images.
    repeated : int
        Number of images that were exact copies of an earlier one, among those in `digests`.
    damaged : int
        Number of files that were decoded although they contain signs of damage.
    damages : list of str
        The first few of these files, with the damage.
    chunk : int
        Images per run of the network, halved after each out-of-memory error; 0 if it is not known.
    sampled : bool
        True if only a few of the images are counted.
    accepted : int
        Number of images that were decoded, which is the number of rows.
    gaps : list of int
        For each rejected image, the number of images accepted before it.
    content : int
        A hash of the bytes of all images in their order: a polynomial of their digests, so that it can be merged.
    """

    rejected: list[str] = field(default_factory=list)
    losses: Counter[str] = field(default_factory=Counter)
    largest: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    encodings: Counter[str] = field(default_factory=Counter)
    qualities: Counter[int] = field(default_factory=Counter)
    digests: set[int] = field(default_factory=set)
    repeated: int = 0
    damaged: int = 0
    damages: list[str] = field(default_factory=list)
    chunk: int = 0
    sampled: bool = False
    accepted: int = 0
    gaps: list[int] = field(default_factory=list)
    content: int = 0

    def add(self, images: list[Seen], chunk: int = 0) -> None:
        """Count the images of one batch."""
        self.chunk = _smaller(self.chunk, chunk)
        for image in images:
            decoded = image.rejected is None or image.digest != 0
            self.content = with_one_more(self.content, image.digest if decoded else None)
            if image.rejected is not None:
                self.rejected.append(image.rejected)
                self.gaps.append(self.accepted)
                continue
            self.accepted += 1
            self.losses.update(image.losses)
            self.largest = max(self.largest, image.largest)
            self.sizes[image.size] += 1
            if image.encoding is not None:
                self.encodings[image.encoding] += 1
            if image.quality is not None:
                self.qualities[image.quality] += 1
            if image.damage:
                self.damaged += 1
                self.damages = [*self.damages, image.damage][:_MOST_NAMES]
            self.repeated += image.digest in self.digests
            if len(self.digests) < MOST_DIGESTS:
                self.digests.add(image.digest)

    def merge(self, other: "Tally") -> "Tally":
        """Add the counts of another tally, as if its images came next; return self."""
        count = other.accepted + len(other.rejected)
        self.content = (self.content * pow(_BASE, count, _PRIME) + other.content) % _PRIME
        self.rejected += other.rejected
        self.gaps += [self.accepted + gap for gap in other.gaps]
        self.accepted += other.accepted
        self.losses.update(other.losses)
        self.largest = max(self.largest, other.largest)
        self.sizes.update(other.sizes)
        self.encodings.update(other.encodings)
        self.qualities.update(other.qualities)
        self.repeated += other.repeated + len(self.digests & other.digests)
        self.digests |= other.digests
        if len(self.digests) > MOST_DIGESTS:
            self.digests = set(sorted(self.digests)[:MOST_DIGESTS])
        self.damaged += other.damaged
        self.damages = [*self.damages, *other.damages][:_MOST_NAMES]
        self.chunk = _smaller(self.chunk, other.chunk)
        self.sampled |= other.sampled
        return self

    def place_of(self, row: int) -> int:
        """Return the place of a row among all images, in their order, with those that were left out."""
        return row + bisect_right(self.gaps, row)

    def left_out(self, name: str) -> str | None:
        """Return a warning that lists the images of a source that were left out, or None if there are none."""
        if not self.rejected:
            return None
        many = len(self.rejected) > _MANY * (self.accepted + len(self.rejected))
        text = f"{name}: {counted(len(self.rejected), 'image')} left out: {'; '.join(self.rejected)}"
        return f"{'many-left-out' if many else 'left-out'}: {text}"


def with_one_more(content: int, digest: int | None) -> int:
    """Return `Tally.content` after one more image; its digest is None if it could not be decoded."""
    return (content * _BASE + (1 if digest is None else 2 + digest)) % _PRIME


def known(seen: Tally | None, n: int | None) -> Tally | None:
    """Return what was observed if it is of all n images; None if it is of others, or rows were added since."""
    return seen if seen is not None and n and seen.accepted == n else None


def _smaller(one: int, other: int) -> int:
    """Return the smaller of two chunks; 0 means unknown."""
    return min(one or other, other or one)

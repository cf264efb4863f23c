"""The registered models: name, hash, size and address of each."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ModelError

OFFICIAL_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
MOST_BYTES = 1 << 30  # largest file of weights; the published ones have less than a tenth of it


@dataclass(frozen=True)
class Entry:
    """One model of the registry. A model without a URL is built in and has no file.

    Attributes
    ----------
    name : str
    sha256 : str or None
        Hash of the published file, or of the built-in weights (`fastfid.networks.random.identity`). None if the file
        was published with an MD5 only.
    note : str
        A description in one line.
    url : str or None
    size : int
        Size of the file in bytes.
    file_names : tuple of str
        Names of the file in caches; the first is ours.
    md5 : str or None
        MD5 of the published file.
    """

    name: str
    sha256: str | None
    note: str
    url: str | None = None
    size: int = 0
    file_names: tuple[str, ...] = ()
    md5: str | None = None

    @property
    def algorithm(self) -> str:
        """Name in `hashlib` of the hash that the file was published with."""
        return "md5" if self.sha256 is None else "sha256"

    @property
    def label(self) -> str:
        """Name of that hash in messages."""
        return "MD5" if self.sha256 is None else "SHA-256"

    @property
    def published(self) -> str:
        """The published hash."""
        return self.sha256 or self.md5 or ""


REGISTRY: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            name="inception-v3",
            sha256=OFFICIAL_SHA256,
            note="the Inception of 2015-12-05 that published FIDs are made with",
            url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
            "pt_inception-2015-12-05-6726825d.pth",
            size=95_628_359,
            # The same file under the names of pytorch-fid and of torch-fidelity.
            file_names=("pt_inception-2015-12-05-6726825d.pth", "weights-inception-2015-12-05-6726825d.pth"),
        ),
        Entry(
            name="inception-v3-keras",
            sha256=None,
            md5="bcbd6486424b2319ff4ef7d526e38f63",
            note="Keras' ImageNet weights, for mode keras; not comparable with published FIDs",
            url="https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/"
            "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
            size=87_910_968,
            file_names=("inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",),
        ),
        Entry(
            name="inception-v3-random",
            sha256="8c71e59e1e3dafc58a1b8b690ed787259e82721c22872464fe8aefcf8504e0f3",
            note="the same network, untrained; not comparable with published FIDs",
        ),
    )
}


def names() -> tuple[str, ...]:
    """Return the names of the registered models."""
    return tuple(REGISTRY)


def entry(name: str) -> Entry:
    """Return the model with this name.

    Raises
    ------
    ModelError
        If there is none; the message lists the names.
    """
    try:
        return REGISTRY[name]
    except KeyError:
        raise ModelError(f"no model is called {name!r}; the registry has {', '.join(REGISTRY)}") from None

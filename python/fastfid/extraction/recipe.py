"""The settings that open a network, also in another process, and the identity of the model that they opened."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from .. import networks
from ..arguments import default, given
from ..errors import ModelError
from ..images.modes import Resolved, resolve
from ..images.preprocess import Preprocessing
from ..messages import Messages
from ..networks.roles import FEATURES, check_roles
from ..provenance import Provenance
from . import runtime
from .opened import Opened
from .session import Session
from .settings import check_settings


class Identity(NamedTuple):
    """Facts that must be equal each time a recipe is opened.

    Attributes
    ----------
    sha256 : str
        Identity of the model.
    mode : str
        Preprocessing, in full.
    dims : int
        Length of a row of "features".
    """

    sha256: str
    mode: str
    dims: int


@dataclass(frozen=True)
class Recipe:
    """The settings that open a network, in this process or another; small, and can be pickled.

    Parameters
    ----------
    model, mode, dims, device, precision, batch_size
        As in `Extractor`.
    roles : tuple of str
        Outputs of the network to compute.
    identity : Identity, optional
        Identity of the model when it was opened first; a model with another identity is refused.
    """

    model: str | os.PathLike[str] = "inception-v3"
    mode: str | Preprocessing = default("pytorch")
    dims: int = default(2048)
    device: str = default("auto")
    precision: str = default("fp32")
    batch_size: int | None = None
    roles: tuple[str, ...] = (FEATURES,)
    identity: Identity | None = None

    def open(self, messages: Messages, *, progress: bool = False) -> Opened:
        """Open the network.

        Parameters
        ----------
        messages : Messages
            Collects warnings and notes.
        progress : bool
            Whether to show a bar on stderr during a download.

        Raises
        ------
        ModelError
            If the model cannot be found, read or used, or does not have this identity.
        DeviceError
            If the GPU you name is unusable.
        InputError
            If a setting has a bad value.
        """
        asked, roles = resolve(self.mode), check_roles(self.roles)
        check_settings(self.device, self.precision, self.batch_size)  # before a download
        mode = asked.name if given(self.mode) else default("pytorch")
        network = networks.load(self.model, dims=self.dims, mode=mode, roles=roles, progress=progress)
        if network.note is not None:
            messages.note(network.note)
        protocol = _resolved(network, asked, messages)
        session = Session(
            network.onnx,
            network.name,
            device=self.device,
            precision=self.precision,
            batch_size=self.batch_size,
            size=protocol.size,
            layout=protocol.layout,
            messages=messages,
            roles=roles,
        )
        identity = Identity(network.sha256, protocol.name, self._dims(network, session))
        self._check(identity)
        return Opened(
            replace(self, model=_absolute(self.model), roles=roles, identity=identity),
            session,
            protocol.kernel,
            Provenance(
                model=network.name,
                sha256=identity.sha256,
                mode=identity.mode,
                dims=identity.dims,
                device=session.device,
                precision=session.precision,
                batch_size=session.batch_size,
                versions=_versions(session.device),
                provider=session.provider,
            ),
            comparable=network.comparable,
        )

    def _dims(self, network: networks.Network, session: Session) -> int:
        """Return the length of a row of "features", even if they are not one of the roles."""
        dims = session.roles.get(FEATURES)
        if dims is None:
            return network.dims or int(self.dims)
        if network.dims is None and given(self.dims) and self.dims != dims:
            raise ModelError(f"{network.name} gives {dims} dims, {self.dims} were asked for")
        if network.dims not in (None, dims):
            raise ModelError(f"{network.name} says that it gives {network.dims} dims, and gives {dims}")
        return dims

    def _check(self, found: Identity) -> None:
        wanted = self.identity
        if wanted is not None and found != wanted:
            raise ModelError(
                f"{self.model} is not the model that was pickled: it has the SHA-256 {found.sha256}, mode "
                f"{found.mode} and {found.dims} dims, not {wanted.sha256}, {wanted.mode} and {wanted.dims}"
            )


def _resolved(network: networks.Network, asked: Resolved, messages: Messages) -> Resolved:
    """Return the preprocessing that a network states, or else the requested one."""
    if network.mode is None:
        messages.note(f"{network.name} does not state its preprocessing: mode {asked.name} is applied")
        return asked
    stated = resolve(network.mode)
    if stated.name != asked.name:
        messages.note(f"{network.name} states its own preprocessing, which is applied: {stated.name}")
    if None not in (stated.layout, asked.layout) and stated.layout != asked.layout:
        raise ModelError(f"{network.name} says its layout is {stated.layout}, not {asked.layout}")
    return stated._replace(layout=stated.layout or asked.layout)


def _absolute(model: str | os.PathLike[str]) -> str:
    """Return a name or path that finds the same model from another folder."""
    if isinstance(model, str) and model in networks.names():
        return model
    return str(Path(model).expanduser().absolute())


def _versions(device: str) -> dict[str, str]:
    import PIL

    from .. import _core

    return {"fastfid": _core.__version__, **runtime.versions(device), "pillow": PIL.__version__}

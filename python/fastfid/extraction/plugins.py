"""Execution providers that are added to ONNX Runtime by packages of their own."""

from functools import cache
from importlib import import_module
from importlib.metadata import version
from threading import Lock
from typing import Any

from ..checks import counted
from ..errors import DeviceError
from .accelerators import Accelerator, kind_of
from .device import parse

_LEAST = "1.24"  # of ONNX Runtime, for the plugins in the table
_REGISTERING = Lock()


def built_in(ort: Any, accelerator: Accelerator) -> bool:
    """Return True if ONNX Runtime was built with a provider: among the available ones are also those of plugins."""
    return accelerator.provider in ort.get_available_providers() and not any(
        device.ep_name == accelerator.provider and "library_path" in device.ep_metadata for device in _all_devices(ort)
    )


def plugin_device(ort: Any, device: str) -> Any:
    """Return what ONNX Runtime calls the device of a plugin, after adding the plugin.

    Parameters
    ----------
    ort : module
        ONNX Runtime.
    device : str
        As `device.choose` returns it, of an accelerator whose provider ONNX Runtime was built without.

    Raises
    ------
    DeviceError
        If there is no plugin, it is not installed, or it does not find the device.
    """
    accelerator, number = kind_of(device), parse(device)[1]
    missing = f"{device} needs {accelerator.provider}, which this ONNX Runtime was built without"
    if not accelerator.plugin:
        raise DeviceError(f"{missing}: {accelerator.install}")
    if not hasattr(ort, "register_execution_provider_library"):
        raise DeviceError(f"{missing}; plugins need ONNX Runtime {_LEAST} or newer, this is {ort.__version__}")
    with _REGISTERING:
        found = _devices(ort, accelerator)
        if not found:
            _register(ort, accelerator.plugin, f"{missing}: {accelerator.install}")
            found = _devices(ort, accelerator)
    if number >= len(found):
        raise DeviceError(
            f"{device} is not available: {accelerator.plugin} {version(accelerator.plugin)} finds "
            f"{counted(len(found), 'such device')}; it needs {accelerator.needs}"
        )
    return found[number]


@cache  # ONNX Runtime keeps it until the process ends, and takes each only once
def _register(ort: Any, plugin: str, missing: str) -> None:
    try:
        module = import_module(plugin.replace("-", "_"))
    except ImportError:
        raise DeviceError(missing) from None
    try:
        ort.register_execution_provider_library(plugin, module.get_library_path())
    except Exception as error:  # ONNX Runtime's exceptions have no narrower common base class
        raise DeviceError(f"{plugin} cannot be added to ONNX Runtime {ort.__version__}: {error}") from error


def _devices(ort: Any, accelerator: Accelerator) -> list[Any]:
    return [
        device
        for device in _all_devices(ort)
        if device.ep_name == accelerator.provider and accelerator.kind in ("", device.device.type.name)
    ]


def _all_devices(ort: Any) -> list[Any]:
    return list(ort.get_ep_devices()) if hasattr(ort, "get_ep_devices") else []

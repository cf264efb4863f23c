"""The table of devices: the execution provider of each, what it takes to install, and how it keeps a precision."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

Settings = dict[str, str]  # of an execution provider

_NONE = "none: it keeps the types of the graph"
_WHOLE = "pip uninstall onnxruntime onnxruntime-gpu, then pip install {}"  # builds of ONNX Runtime share one folder


@dataclass(frozen=True)
class Accelerator:
    """A kind of device.

    Attributes
    ----------
    hardware : str
        What it runs on, for people.
    provider : str
        ONNX Runtime's execution provider.
    install : str
        What to run if the provider is missing.
    settings : callable
        Returns the settings of the provider from the number of the device, the precision, and the number of threads or
        None. They must make it keep to the precision.
    precisions : tuple of str
        The precisions that the provider keeps to.
    numbered : bool
        True if there may be several, as in "cuda:1".
    select : callable
        Returns the settings that choose the device by its number, if ONNX Runtime was built with the provider.
    plugin : str
        The distribution that adds the provider to any ONNX Runtime; empty if it has to be part of it.
    kind : str
        The hardware among that of the plugin: "CPU" or "GPU"; empty for any.
    needs : str
        What has to be there besides, for the message if the provider does not start.
    libraries : tuple of str
        Modules that load the provider's libraries when they are imported.
    batch_size : int
        Images per run by default.
    runs_at_once : int
        Runs that a session takes at the same time.
    one_shape : bool
        True if the provider compiles the network for one batch size, so that every batch must be full.
    driver : bool
        True if the driver of CUDA counts the devices and locks pages for copies.
    environment : mapping
        For a precision, the environment variable that the provider needs, and its value.
    """

    hardware: str
    provider: str
    install: str = ""
    settings: Callable[[int, str, int | None], Settings] = lambda number, precision, threads: {}
    precisions: tuple[str, ...] = ("fp32", "fp16")
    numbered: bool = False
    select: Callable[[int], Settings] = lambda number: {}
    plugin: str = ""
    kind: str = ""
    needs: str = ""
    libraries: tuple[str, ...] = ()
    batch_size: int = 64
    runs_at_once: int = 1
    one_shape: bool = False
    driver: bool = False
    environment: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def described(self, precision: str) -> str:
        """Return the provider and its settings, for the record."""
        settings = ", ".join(f"{name}={value}" for name, value in self.settings(0, precision, None).items())
        return f"{self.provider} ({settings})" if settings else self.provider


def _by_id(number: int) -> Settings:
    return {"device_id": str(number)}


def _cuda(number: int, precision: str, threads: int | None) -> Settings:
    """Return the settings for CUDA.

    The convolution algorithms are chosen by cuDNN's heuristic, which always makes the same choice. With a search by
    timing, the last digits would depend on the load of the machine. The memory arena grows by the requested size, not
    by doubling.
    """
    return {
        "use_tf32": str(int(precision == "tf32")),
        "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",
    }


def _tensorrt(number: int, precision: str, threads: int | None) -> Settings:
    return {"trt_fp16_enable": str(int(precision == "fp16")), "trt_int8_enable": "0"}


def _migraphx(number: int, precision: str, threads: int | None) -> Settings:
    """Return the settings for MIGraphX: no type but those of the graph, and no choice of kernels by timing."""
    return {"migraphx_fp16_enable": "0", "migraphx_int8_enable": "0", "migraphx_exhaustive_tune": "0"}


def _coreml(number: int, precision: str, threads: int | None) -> Settings:
    """Return the settings for Core ML, whose Neural Engine has float16 only; the older model format has no types."""
    return {
        "ModelFormat": "MLProgram",
        "MLComputeUnits": "CPUAndGPU" if precision == "fp32" else "ALL",
        "AllowLowPrecisionAccumulationOnGPU": "0",
        "RequireStaticInputShapes": "1",
    }


def _openvino(number: int, precision: str, threads: int | None) -> Settings:
    """Return the settings for OpenVINO on the CPU, which by itself may choose bfloat16."""
    config = {"INFERENCE_PRECISION_HINT": "f32"}
    if threads is not None:
        config["INFERENCE_NUM_THREADS"] = str(threads)
    return {"load_config": json.dumps({"CPU": config})}


def _openvino_gpu(number: int, precision: str, threads: int | None) -> Settings:
    """Return the settings for OpenVINO on a GPU, which by itself chooses float16."""
    hint = {"INFERENCE_PRECISION_HINT": "f32" if precision == "fp32" else "f16"}
    return {"load_config": json.dumps({"GPU": hint, f"GPU.{number}": hint})}


ACCELERATORS: Mapping[str, Accelerator] = {
    "cpu": Accelerator("CPUs", "CPUExecutionProvider", batch_size=16),
    "cuda": Accelerator(
        "NVIDIA GPUs",
        "CUDAExecutionProvider",
        "pip uninstall onnxruntime, then pip install 'fastfid[cuda]'",
        _cuda,
        ("fp32", "tf32", "fp16"),
        numbered=True,
        select=_by_id,
        needs="CUDA and cuDNN, which pip install 'fastfid[cuda]' installs",
        runs_at_once=2,
        driver=True,
    ),
    "tensorrt": Accelerator(
        "NVIDIA GPUs",
        "TensorrtExecutionProvider",
        "pip install 'fastfid[cuda]' 'tensorrt-cu13<11'",
        _tensorrt,
        ("fp32", "tf32", "fp16"),
        numbered=True,
        select=_by_id,
        needs="TensorRT 10, CUDA and cuDNN, which pip install 'fastfid[cuda]' 'tensorrt-cu13<11' installs",
        libraries=("tensorrt_libs",),
        one_shape=True,
        driver=True,
        environment={"fp32": ("NVIDIA_TF32_OVERRIDE", "0")},  # ONNX Runtime has no option that turns TF32 off
    ),
    "migraphx": Accelerator(
        "AMD GPUs on Linux",
        "MIGraphXExecutionProvider",
        _WHOLE.format("onnxruntime-migraphx"),
        _migraphx,
        numbered=True,
        select=_by_id,
        needs="ROCm with MIGraphX",
        one_shape=True,
    ),
    "directml": Accelerator(
        "GPUs on Windows",
        "DmlExecutionProvider",
        _WHOLE.format("onnxruntime-directml"),
        numbered=True,
        select=_by_id,
        needs="a GPU with Direct3D 12",
        one_shape=True,
    ),
    "openvino": Accelerator(
        "CPUs",
        "OpenVINOExecutionProvider",
        "pip install onnxruntime-ep-openvino",
        _openvino,
        ("fp32",),
        select=lambda number: {"device_type": "CPU"},
        plugin="onnxruntime-ep-openvino",
        kind="CPU",
        needs="an Intel CPU, as far as version 1.8.1 of the plugin; onnxruntime-openvino, in the place of onnxruntime, "
        "takes any CPU",
        batch_size=16,
    ),
    "openvino-gpu": Accelerator(
        "Intel GPUs",
        "OpenVINOExecutionProvider",
        "pip install onnxruntime-ep-openvino",
        _openvino_gpu,
        numbered=True,
        select=lambda number: {"device_type": f"GPU.{number}"},
        plugin="onnxruntime-ep-openvino",
        kind="GPU",
        needs="an Intel GPU and its driver",
    ),
    "coreml": Accelerator(
        "Macs",
        "CoreMLExecutionProvider",
        "on a Mac, pip install onnxruntime",
        _coreml,
        needs="macOS 12 or newer",
        one_shape=True,
    ),
    "webgpu": Accelerator(
        "GPUs by Vulkan, Metal or Direct3D 12",
        "WebGpuExecutionProvider",
        "pip install onnxruntime-ep-webgpu",
        lambda number, precision, threads: {"powerPreference": "high-performance"},
        plugin="onnxruntime-ep-webgpu",
        needs="a GPU and its driver, and on Linux the loader of Vulkan (libvulkan.so.1)",
    ),
}


def kind_of(device: str) -> Accelerator:
    """Return the row of a device that `device.choose` returned."""
    return ACCELERATORS[device.partition(":")[0]]


def rows() -> Iterator[tuple[str, ...]]:
    """Yield the table for docs/devices.md, its head first.

    Examples
    --------
    >>> next(rows())[:3]
    ('--device', 'runs on', 'execution provider')
    """
    yield "--device", "runs on", "execution provider", "if it is missing", "precisions", "settings for fp32"
    for name, one in ACCELERATORS.items():
        shown = f"`{name}`, `{name}:1`" if one.numbered else f"`{name}`"
        settings = [f"`{key}={value}`" for key, value in one.settings(0, "fp32", None).items()]
        settings += ["environment: `{}={}`".format(*one.environment["fp32"])] if "fp32" in one.environment else []
        yield shown, one.hardware, one.provider, one.install, ", ".join(one.precisions), ", ".join(settings) or _NONE

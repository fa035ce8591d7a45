"""NVIDIA's compiler, assembler and headers from PyPI, unpacked once below .build/cuda-tools. No GPU and no CUDA toolkit is needed."""
import pathlib, subprocess, sys, zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".build" / "cuda-tools"

# What is unpacked, by the name of its folder. 12.0 is the oldest CUDA that the library promises to run with, 13.0 the newest checked.
PACKAGES = {
    "nvrtc-12.0": "nvidia-cuda-nvrtc-cu12==12.0.140",
    "ptxas-12.0": "nvidia-cuda-nvcc-cu12==12.0.140",
    "ptxas-13.0": "nvidia-cuda-nvcc==13.0.88",
    "headers-12.0": "nvidia-cuda-runtime-cu12==12.0.146",
    "headers-13.0": "nvidia-cuda-runtime==13.0.96",
    "crt-13.0": "nvidia-cuda-crt==13.0.88",
    "cublas-12.0": "nvidia-cublas-cu12==12.0.1.189",
    "cublas-13.0": "nvidia-cublas==13.0.2.14",
    "nccl-2.18": "nvidia-nccl-cu12==2.18.3",
    "nccl-2.28": "nvidia-nccl-cu13==2.28.3",
}
# Large libraries of which only the headers are kept.
HEADERS_ONLY = {"cublas-12.0", "cublas-13.0", "nccl-2.18", "nccl-2.28"}


def unpacked(name):
    """The folder of a package, fetched if it is not there yet."""
    folder = TOOLS / name
    if not (folder / "complete").exists():
        downloads = TOOLS / "downloads" / name
        downloads.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "-d", str(downloads)]
        subprocess.run(command + [PACKAGES[name]], check=True)
        for path in downloads.glob("*.whl"):
            with zipfile.ZipFile(path) as wheel:
                wheel.extractall(folder, [member for member in wheel.namelist() if "/include/" in member or name not in HEADERS_ONLY])
            if name in HEADERS_ONLY:
                path.unlink()
        (folder / "complete").touch()
    return folder


def file(name, pattern):
    """The file of a package that matches a pattern, ready to run."""
    found = sorted(unpacked(name).rglob(pattern))
    if not found:
        sys.exit(f"{PACKAGES[name]} has no {pattern}")
    found[0].chmod(0o755)
    return found[0]

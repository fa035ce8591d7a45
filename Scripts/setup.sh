#!/usr/bin/env bash
# Installs what a build needs and is not there: OpenBLAS, LAPACKE, KISS FFT, zlib, libpng, libjpeg and pkg-config. Says what to do where it cannot.
set -euo pipefail

if ! command -v swift >/dev/null 2>&1; then
    echo "Swift 6.1 or later is needed and was not found: see https://www.swift.org/install" >&2
    exit 1
fi
version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
if [ -n "$version" ] && [ "$(printf '%s\n6.1\n' "$version" | sort -V | head -n 1)" != "6.1" ]; then
    echo "Swift 6.1 or later is needed; this is $version: see https://www.swift.org/install" >&2
    exit 1
fi

missing=()
for package in libopenblas-dev liblapacke-dev libkissfft-dev zlib1g-dev libpng-dev libjpeg-dev pkg-config; do
    case $package in
        pkg-config) command -v pkg-config >/dev/null 2>&1 || missing+=("$package") ;;
        *) dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package") ;;
    esac
done
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi

if ! command -v apt-get >/dev/null 2>&1; then
    echo "Install OpenBLAS, LAPACKE, KISS FFT, zlib, libpng, libjpeg (with headers) and pkg-config with your system's package manager." >&2
    exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "Run as root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi
echo "Installing ${missing[*]}"
"${as_root[@]}" apt-get install -y --no-install-recommends "${missing[@]}" >/dev/null 2>&1 || {
    "${as_root[@]}" apt-get update
    "${as_root[@]}" apt-get install -y --no-install-recommends "${missing[@]}"
}

#!/usr/bin/env python3
"""Fails if a binary or a bill of materials of a release names a folder of the build: paths.py DIST FOLDER...

Packages, wheels and tarballs are unpacked. Binaries are all ELF files, debug files too, and archives of object files.
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

#: How the files of an archive get into the folder that is the second argument.
UNPACK = {
    ".gz": 'tar -xzf "$1" -C "$2"',
    ".crate": 'tar -xzf "$1" -C "$2"',
    ".deb": 'dpkg-deb -x "$1" "$2"',
    ".rpm": 'rpm2archive - < "$1" | tar -xz -C "$2"',
}


def made(folder):
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.is_symlink():
            with file.open("rb") as opened:
                is_binary = opened.read(8).startswith((b"\x7fELF", b"!<arch>\n"))
            if is_binary or file.name.endswith(".cdx.json") or file.parent.name == "sboms":
                yield file


def content(file, work):
    """The bytes of a file. A binary's debug sections are not compressed there."""
    copy = work / "plain"
    done = subprocess.run(["objcopy", "--decompress-debug-sections", file, copy], capture_output=True)
    # objcopy knows the machines that it was made for. Others' binaries are read as they are.
    return (copy if done.returncode == 0 else file).read_bytes()


def main(dist, *folders):
    read, wrong = 0, []
    for file in sorted(file for file in pathlib.Path(dist).rglob("*") if file.is_file()):
        with tempfile.TemporaryDirectory() as work:
            work = pathlib.Path(work)
            (work / "files").mkdir()
            if file.suffix == ".whl":
                zipfile.ZipFile(file).extractall(work / "files")
            elif file.suffix in UNPACK:
                subprocess.run(["bash", "-euo", "pipefail", "-c", UNPACK[file.suffix], "unpack", file, work / "files"], check=True)
            else:
                shutil.copy(file, work / "files")
            for inner in made(work / "files"):
                read += 1
                data = content(inner, work)
                wrong += [f"{file}: {inner.relative_to(work / 'files')} names {folder}/" for folder in folders if f"{folder}/".encode() in data]
    print("\n".join(wrong) if wrong else f"{read} binaries and bills of materials name no folder of the build")
    return bool(wrong) or not read


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

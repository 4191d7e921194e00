#!/usr/bin/env bash
# Builds the Python package into target/wheels: for each target a wheel for CPython 3.10 and later
# and one for 3.9, with the command inside, and the sdist. `build.sh wheel` builds this machine's
# wheel for CPython 3.10 and later alone.
#
# scripts/setup.sh python gets what this needs. What cannot be built is named in a line `skipped:
# ...`. TARGETS names other targets of Rust; a target is built where Rust's standard library for it
# is there. COMMAND_OPT_LEVEL (3) is the optimisation of the command.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
tools=$root/target/venv/bin
out=$root/target/wheels
command -v "$tools/maturin" > /dev/null || tools=$(dirname "$(command -v maturin)") || {
    echo 'skipped: the Python package (no maturin; scripts/setup.sh python gets it)'
    exit 1
}
export PATH=$tools:$PATH
machine=$(uname -m)
targets=("$machine-unknown-linux-gnu")
[[ ${1:-} == wheel ]] || targets+=("$machine-unknown-linux-musl" {aarch64,x86_64}-unknown-linux-{gnu,musl})
read -r -a targets <<< "${TARGETS:-$(printf '%s\n' "${targets[@]}" | awk '!seen[$0]++' | tr '\n' ' ')}"

# Neither the time of the build nor paths of this machine are in the files.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || echo 315532800)}
export SOURCE_DATE_EPOCH CARGO_TARGET_DIR=$root/target/python
libraries=$(rustc --print sysroot)/lib/rustlib
mkdir -p "$out"

zig=yes
command -v python-zig > /dev/null || zig=no

python39=
for candidate in python3.9 ~/.pyenv/versions/3.9.*/bin/python; do
    if "$candidate" -c 'import sys; assert sys.version_info[:2] == (3, 9)' 2> /dev/null; then
        python39=$candidate
        break
    fi
done

# zig links an unwinder of its own. But the C library loads libgcc_s when a thread ends by
# pthread_exit(), as Python ends daemon threads, and that unwinder crashes on the frames of this
# one. So glibc's wheels use libgcc_s too, by a library of its name with the symbols. Its path is
# relative to this folder, which rustc runs in: flags of rustc are in the identity of each crate.
unwinder() { # target
    local to=../../target/python/unwinder-$1 symbol
    mkdir -p "$to"
    for symbol in Backtrace DeleteException FindEnclosingFunction ForcedUnwind Get{CFA,DataRelBase,GR,IP,IPInfo,LanguageSpecificData} \
        Get{RegionStart,TextRelBase} RaiseException Resume Resume_or_Rethrow SetGR SetIP; do
        echo "void _Unwind_$symbol(void) {}"
    done > "$to/unwinder.c"
    python-zig cc -target "${1/-unknown/}.2.28" -shared -nostdlib -Wl,-soname,libgcc_s.so.1 "$to/unwinder.c" -o "$to/libgcc_s.so.1"
    echo "$to/libgcc_s.so.1"
}

skipped() { echo "skipped: $*" >> "$out/skipped.txt"; }

build_target() {
    local target=$1 how=() flags=() settings=() tag command notices wheel before python39=$python39
    case $target in
    *-musl) tag=musllinux_1_2 ;;
    *) tag=manylinux_2_28 ;;
    esac
    compgen -G "$libraries/$target/lib/libstd-*.rlib" > /dev/null || {
        skipped "wheels for $target (no standard library of Rust for it; rustup target add $target)"
        return
    }
    if [[ $zig == yes ]]; then
        how=(--zig --compatibility "$tag" --target "$target")
    elif [[ $target == "$machine-unknown-linux-gnu" ]]; then
        how=(--target "$target") # for the glibc of this machine
        skipped "$tag for $target (no zig; pip install ziglang): the wheel is for this machine's glibc"
    else
        skipped "wheels for $target (no zig; pip install ziglang)"
        return
    fi

    # The command: beside the extension, because users of a wheel have no Rust.
    command=
    local profile=(CARGO_PROFILE_RELEASE_STRIP=symbols CARGO_PROFILE_RELEASE_DEBUG=0 "CARGO_PROFILE_RELEASE_OPT_LEVEL=${COMMAND_OPT_LEVEL:-3}"
        CARGO_ENCODED_RUSTFLAGS="$("$root/packaging/rustflags.sh")")
    if [[ $zig == no ]]; then
        env "${profile[@]}" cargo build --release --locked --manifest-path "$root/Cargo.toml" -p shmetrics-cli --target "$target"
        command=$CARGO_TARGET_DIR/$target/release/shmetrics
    elif command -v cargo-zigbuild > /dev/null; then
        local suffix=
        [[ $target == *-musl ]] || suffix=.2.28
        # Linked to musl itself, it needs nothing of the system's.
        env "${profile[@]}" cargo-zigbuild zigbuild --release --locked --manifest-path "$root/Cargo.toml" -p shmetrics-cli \
            --target "$target$suffix"
        command=$CARGO_TARGET_DIR/$target/release/shmetrics
    else
        skipped "the command in wheels for $target (no cargo-zigbuild; pip install cargo-zigbuild)"
    fi
    notices=$CARGO_TARGET_DIR/notices-$target.txt
    python3 wheel.py notices "$target" > "$notices"

    # Links musl as the Python does that loads it.
    [[ $target != *-musl ]] || flags+=(-C target-feature=-crt-static)
    [[ $zig == no || $target == *-musl ]] || flags+=(-C "link-arg=$(unwinder "$target")")
    # The identity of the crates of this tree is not made from its folder.
    settings=(CARGO_ENCODED_RUSTFLAGS="$("$root/packaging/rustflags.sh" "${flags[@]}")" RUSTC_WRAPPER="$root/packaging/rustc.sh")
    before=$(mktemp)
    env "${settings[@]}" maturin build --release --locked "${how[@]}" --interpreter python3 --out "$out"
    if [[ $part != wheel ]]; then
        if [[ -n $python39 ]]; then
            # For another machine or C library, maturin takes the version from the name alone.
            [[ $target == "$machine-unknown-linux-gnu" ]] || python39=python3.9
            env "${settings[@]}" maturin build --release --locked "${how[@]}" --no-default-features --features py39 \
                --interpreter "$python39" --out "$out"
        else
            skipped "wheels for CPython 3.9 for $target (no python3.9)"
        fi
    fi
    while read -r wheel; do
        [[ -z $command ]] || python3 wheel.py add "$wheel" "$command" "$notices"
    done < <(find "$out" -name '*.whl' -newer "$before")
    rm -f "$before"
}

part=${1:-all}
rm -f "$out"/shmetrics-* "$out/skipped.txt"
touch "$out/skipped.txt"
for target in "${targets[@]}"; do
    build_target "$target"
done
if [[ $part != wheel ]]; then
    maturin sdist --out "$out"
    if command -v twine > /dev/null; then
        twine check --strict "$out"/shmetrics-*
    else
        skipped 'twine check (pip install twine)'
    fi
    if command -v auditwheel > /dev/null; then
        for wheel in "$out"/*.whl; do # of musl it reads this machine's libc.so, which is none
            auditwheel show "$wheel" 2> /dev/null | tr '\n' ' ' | sed 's/  */ /g' || skipped "auditwheel show ${wheel##*/} (it fails here)"
            echo
        done
    else
        skipped 'auditwheel show (pip install auditwheel)'
    fi
fi
echo 'Built:'
(cd "$out" && ls -l shmetrics-* | awk '{printf "  %-90s %8d kB\n", $9, $5 / 1000}')
cat "$out/skipped.txt"
rm -f "$out/skipped.txt"

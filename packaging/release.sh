#!/usr/bin/env bash
# Makes everything that a release consists of, of the committed tree, in dist/: release.sh
# [--tagged] [--once] [PART...].
#
# `--tagged` fails unless the commit has the tag of its version and the changelogs call the version
# released. `--once` leaves out the second build, which must be equal to the first. With names of
# parts, only these are made, into the dist/ that is there. The parts, in their order, are the
# functions below. What cannot be made here is named in a line `skipped: ...`.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
dist=$root/dist
work=$root/target/release-work
tools=$root/target/tools/bin
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version *= *"\(.*\)"/\1/p' Cargo.toml)
machine=$(uname -m)
name=shmetrics-$version
crates=(shmetrics-derive shmetrics shmetrics-metrics shmetrics-cli)
export PATH=$tools:$root/target/venv/bin:$PATH
# Neither the time of the build nor paths of this machine are in the files.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH LC_ALL=C.UTF-8 TZ=UTC
umask 022

die() {
    echo "release.sh: $*" >&2
    exit 1
}

# The same files give the same tarball.
pack() { # tarball, folder, files...
    tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -C "$2" -c "${@:3}" | gzip -9n > "$dist/$1"
}

# The versions in all places, the links, what the crates contain.
agree() {
    local strict=()
    [[ $tagged == no ]] || strict=(--release)
    python3 scripts/versions.py "${strict[@]}"
    if [[ $tagged == yes ]]; then
        [[ -n $(git tag --points-at HEAD --list "v$version") ]] || die "the commit has no tag v$version"
    fi
    python3 scripts/links.py
    python3 scripts/licences.py
    packaging/tests/crates.sh
    packaging/tests/manifests.py
}

# Licences, sources and advisories of all that is compiled into what users get.
deny() {
    local folder last check
    command -v cargo-deny > /dev/null || {
        echo 'skipped: cargo deny (not installed; scripts/setup.sh release gets it)'
        return
    }
    # The advisories are a repository of their own, which must be fetched.
    if cargo deny fetch db > "$work/deny.log" 2>&1; then
        check=(advisories bans licenses sources)
    else
        check=(bans licenses sources)
        echo 'skipped: advisories about dependencies (the database cannot be fetched)'
    fi
    while read -r folder _ _ last; do
        [[ $last != licences ]] || cargo deny --manifest-path "$folder/Cargo.toml" --config deny.toml --log-level error check "${check[@]}"
    done < <(grep -v '^#' scripts/workspaces)
}

# The interfaces of the crates, against the release before.
semver() {
    local before
    before=$(git tag --list 'v*' --sort=-v:refname --merged HEAD | awk -v this="v$version" '$0 != this && !before { before = $0 } END { print before }')
    if [[ -z $before ]]; then
        echo 'skipped: cargo semver-checks (there is no earlier release to compare with)'
    elif command -v cargo-semver-checks > /dev/null; then
        cargo semver-checks --baseline-rev "$before" -p shmetrics -p shmetrics-metrics
    else
        echo 'skipped: cargo semver-checks (not installed; scripts/setup.sh release gets it)'
    fi
}

# What is built from this folder must be the same.
other=$work/another\ folder\ with\ a\ longer\ path
other_tree() {
    rm -rf "$other"
    mkdir -p "$other/tree"
    git archive HEAD | tar -x -C "$other/tree"
}

# The library, the command and Python's extension, twice, in two folders.
build() {
    local file
    rm -rf "$work/tree" "$work/first"
    mkdir -p "$work/tree"
    git archive HEAD | tar -x -C "$work/tree"
    CARGO_TARGET_DIR=$work/first "$work/tree/packaging/compile.sh" library command extension
    PATHS=$root:$HOME packaging/tests/binaries.sh "$work/first/release"
    RELEASE_DIR=$work/first/release tests/instructions/check.py
    if [[ $once == yes ]]; then
        echo 'skipped: the second build, which must be equal (--once)'
        return
    fi
    other_tree
    CARGO_TARGET_DIR=$other/target "$other/tree/packaging/compile.sh" library command extension
    for file in libshmetrics.so libshmetrics.a shmetrics lib_native.so; do
        cmp "$work/first/release/$file" "$other/target/release/$file" || die "two builds of $file differ"
    done
    rm -rf "$other"
    echo 'two builds of the library, the command and the extension are equal byte for byte'
}

static() {
    local folder=$name-$machine-linux-static
    CARGO_TARGET_DIR=$work/static-build packaging/static.sh "$work/static"
    PATHS=$root:$HOME packaging/tests/binaries.sh "$work/static"
    rm -rf "${work:?}/$folder"
    mkdir -p "$work/$folder/man" "$work/$folder/completions"
    cp "$work/static/shmetrics" LICENSE-MIT LICENSE-APACHE packaging/container/{Containerfile,pod.yaml} "$work/$folder/"
    python3 bindings/python/wheel.py notices "$machine-unknown-linux-musl" > "$work/$folder/LICENSES-THIRD-PARTY.txt"
    "$work/static/shmetrics" man > "$work/$folder/man/shmetrics.1"
    for shell in bash zsh fish; do "$work/static/shmetrics" completions "$shell" > "$work/$folder/completions/shmetrics.$shell"; done
    pack "$folder.tar.gz" "$work" "$folder"
}

# Built as packagers build them, of the library and the command above. The modules for nginx fit the
# release of Debian that they were built on.
packages() {
    local kind package codename
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-here}")
    for kind in deb rpm; do
        RELEASE_DIR=$work/first/release "packaging/$kind.sh" "$work/$kind"
        RELEASE_DIR=$work/first/release "packaging/$kind.sh" "$work/$kind-again" > /dev/null
        for package in "$work/$kind"/*."$kind"; do cmp "$package" "$work/$kind-again/${package##*/}" || die "two builds of ${package##*/} differ"; done
        rm -rf "$work/$kind-again"
    done
    if command -v lintian > /dev/null; then
        # The project has no address yet.
        lintian --fail-on error --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog "$work/deb"/*.deb || die 'lintian found errors'
    else
        echo 'skipped: lintian (not installed)'
    fi
    rm -rf "$dist/debian" "$dist/rpm"
    mkdir -p "$dist/debian/$codename" "$dist/rpm"
    cp "$work/deb"/*.deb "$dist/debian/"
    mv "$dist/debian"/libnginx-mod-*.deb "$dist/debian/$codename/"
    cp "$work/rpm"/*.rpm "$dist/rpm/"
}

wheels() {
    local wheel
    bindings/python/build.sh
    if [[ $once == yes ]]; then
        echo 'skipped: the second build of a wheel, which must be equal (--once)'
    else
        other_tree
        "$other/tree/bindings/python/build.sh" wheel
        for wheel in "$other/tree/target/wheels"/*.whl; do cmp "$wheel" "target/wheels/${wheel##*/}" || die "two builds of ${wheel##*/} differ"; done
        rm -rf "$other"
        echo 'two builds of the wheel for this machine are equal byte for byte'
    fi
    rm -rf "$dist/python"
    mkdir -p "$dist/python"
    cp target/wheels/shmetrics-* "$dist/python/"
    if command -v twine > /dev/null; then
        twine check --strict "$dist/python"/*
    else
        echo 'skipped: twine check (not installed; scripts/setup.sh release gets it)'
    fi
}

# Cargo compiles each crate from what would be uploaded, with those before it as its dependencies.
publish() {
    local crate list=()
    for crate in "${crates[@]}"; do list+=(-p "$crate"); done
    CARGO_TARGET_DIR=$work/publish cargo publish --dry-run --locked "${list[@]}"
    rm -rf "$dist/crates"
    mkdir -p "$dist/crates"
    for crate in "${crates[@]}"; do find "$work/publish/package" -name "$crate-$version.crate" -exec cp {} "$dist/crates/" \; ; done
    (($(find "$dist/crates" -name "*.crate" | wc -l) == ${#crates[@]})) || die "the crates are not where cargo puts them"
}

tarballs() {
    local notices=/usr/local/share/doc/shmetrics/LICENSES-THIRD-PARTY.txt
    git archive --prefix="$name/" HEAD | gzip -9n > "$dist/$name.tar.gz"
    rm -rf "$work/prefix"
    RELEASE_DIR=$work/first/release PREFIX=/usr/local DESTDIR=$work/prefix packaging/install.sh
    for file in lib/libshmetrics.so."$version" bin/shmetrics; do strip --strip-unneeded "$work/prefix/usr/local/$file"; done
    strip --strip-debug "$work/prefix/usr/local/lib/libshmetrics.a"
    python3 bindings/python/wheel.py notices "$machine-unknown-linux-gnu" > "$work/prefix$notices"
    echo "file $notices" >> "$work/prefix/usr/local/share/doc/shmetrics/install-manifest"
    pack "$name-$machine-linux-gnu.tar.gz" "$work/prefix" usr
}

bills() {
    mkdir -p "$dist/sbom"
    python3 scripts/sbom.py cli/Cargo.toml > "$dist/sbom/command.cdx.json"
    python3 packaging/tests/sbom.py < "$dist/sbom/command.cdx.json"
    python3 scripts/sbom.py bindings/c/Cargo.toml > "$dist/sbom/library.cdx.json"
    python3 scripts/sbom.py bindings/python/Cargo.toml > "$dist/sbom/python.cdx.json"
}

site() {
    target/site-venv/bin/python packaging/site/build.py "$work/site"
    pack "$name-documentation.tar.gz" "$work" site
}

# A pod of the static command, then the packages in clean systems, which also build the modules for
# the nginx of other releases of Debian.
try() {
    if [[ $(id -u) -ne 0 ]]; then
        echo 'skipped: the pod and the packages in clean systems (not root)'
        return
    fi
    cc -o "$work/quickstart" examples/c/quickstart.c -Iinclude "$work/first/release/libshmetrics.a" -lm -lpthread -ldl
    packaging/tests/pod.py "$work/static/shmetrics" "$work/quickstart"
    packaging/tests/image.sh "$work/static/shmetrics" "$work/quickstart"
    DEBS=$dist/debian MODULES=$dist/debian packaging/test.sh
}

# And no binary names a folder of this machine.
sums() {
    packaging/tests/paths.py "$dist" "$root" "$HOME"
    (cd "$dist" && find . -type f ! -name SHA256SUMS -printf '%P\n' | sort | xargs -d '\n' sha256sum > SHA256SUMS && sha256sum --quiet -c SHA256SUMS)
    (cd "$dist" && find . -type f -printf '%s %P\n' | sort -k 2 | awk '{ printf "%9d kB  %s\n", $1 / 1000, $2 }')
}

all=(agree deny semver build static packages wheels publish tarballs bills site try sums)
tagged=no once=no parts=()
for argument in "$@"; do
    case $argument in
    --tagged) tagged=yes ;;
    --once) once=yes ;;
    *)
        [[ " ${all[*]} " == *" $argument "* ]] || die "no part $argument; there are: ${all[*]}"
        parts+=("$argument")
        ;;
    esac
done
[[ -z $(git status --porcelain) ]] || die 'the tree has changes that are not committed'
mkdir -p "$work"
((${#parts[@]})) || {
    rm -rf "$dist"
    parts=("${all[@]}")
}
mkdir -p "$dist"
: > "$work/log"
part=
trap '[[ $? -eq 0 ]] || echo "release.sh: the part $part failed" >&2' EXIT
for part in "${parts[@]}"; do
    echo
    echo "== $part"
    start=$SECONDS
    # Not as a condition: there, `set -e` ends nothing.
    "$part" 2>&1 | tee -a "$work/log"
    echo "   ($((SECONDS - start)) s)"
done
echo
echo "$SECONDS s, $(du -sm dist | cut -f 1) MB in dist/, $(du -sm target | cut -f 1) MB in target/"
# What is not in dist/ or was not checked.
grep '^skipped: ' "$work/log" || true

# shellcheck shell=bash
# Where things are, and the versions of the tools that the verbs bring along. Sourced.
# shellcheck disable=SC2034 # used by those who source it

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
tools=$target/tools
venv=$target/venv
cbindgen_version=0.29.4

# After everybody's own: a tool of the right version that is there already is used.
export PATH=$PATH:$tools/bin
# Debian's cargo and rustup's.
[[ ! -d ${CARGO_HOME:-$HOME/.cargo}/bin ]] || PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH

have() { command -v "$1" >/dev/null; }

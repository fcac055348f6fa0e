# SPDX-License-Identifier: BSD-3-Clause
# Shared by the scripts here: where the project is, and what it needs from Debian.
set -euo pipefail
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# What building the library needs, whatever else is built.
packages_build=(g++ cmake ninja-build pkg-config liburing-dev nlohmann-json3-dev)
packages_tool=(libasio-dev libboost-dev libcli11-dev libfmt-dev libglib2.0-dev libuv1-dev)
packages_test=(make libgtest-dev libgmock-dev)

say() { printf '\n== %s\n' "$*"; }

# install_packages NAME...: lists what is missing, then installs it, without questions.
install_packages() {
  local missing=() name
  for name in "$@"; do
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'install ok installed' ||
      missing+=("$name")
  done
  if [ ${#missing[@]} -eq 0 ]; then
    echo "All ${#} Debian packages needed are installed: $*"
    return
  fi
  echo "Installing with apt-get, of the ${#} Debian packages needed: ${missing[*]}"
  local as_root=(env DEBIAN_FRONTEND=noninteractive)
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "This needs root: run it as root, or install sudo, or install the packages yourself." >&2
      exit 1
    fi
    as_root=(sudo "${as_root[@]}")
  fi
  local log
  log=$(mktemp)
  # An index that is there may be stale: it is renewed only if the first attempt fails.
  if ! "${as_root[@]}" apt-get install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1 </dev/null; then
    if ! { "${as_root[@]}" apt-get update && "${as_root[@]}" apt-get install -y \
      --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
      tail -n 20 "$log" >&2
      echo "The installation failed; the lines above are apt-get's last." >&2
      exit 1
    fi
  fi
  rm -f "$log"
}

# build PRESET [CMAKE OPTION...] -- [NINJA TARGET...]: quiet unless it fails. Sets build_dir.
build() {
  local preset=$1 options=() targets=()
  shift
  while [ $# -gt 0 ] && [ "$1" != -- ]; do options+=("$1"); shift; done
  [ $# -gt 0 ] && shift
  targets=("$@")
  build_dir=$project/build/$preset
  mkdir -p "$build_dir"
  (cd "$project" && cmake --preset "$preset" "${options[@]}") >"$build_dir/configure.log" 2>&1 || {
    cat "$build_dir/configure.log" >&2
    return 1
  }
  grep -h -- 'spdk-io: provider' "$build_dir/configure.log" | sed 's/^-- //' || true
  # A progress line on a terminal, a plain log elsewhere, and the compiler's words on failure.
  if [ -t 1 ]; then
    ninja -C "$build_dir" "${targets[@]}"
  else
    ninja -C "$build_dir" "${targets[@]}" >"$build_dir/build.log" 2>&1 || {
      grep -vE '^\[[0-9]+/[0-9]+\] (Building|Linking)' "$build_dir/build.log" | tail -n 80 >&2
      return 1
    }
    echo "built: $build_dir"
  fi
}

# docs/executors.md, of what scripts/check-executors and scripts/bench-executors have kept.
executors_page() {
  local kept=() each
  for each in spdk bench-spdk lite bench-lite; do
    [ ! -e "$project/docs/executors/$each.json" ] || kept+=("$project/docs/executors/$each.json")
  done
  python3 "$project/tests/conformance/table.py" "${kept[@]}" >"$project/docs/executors.md"
}

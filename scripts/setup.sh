#!/usr/bin/env bash
# Sets up .venv: `scripts/setup.sh demo` for the demo, `scripts/setup.sh all` for tests and work.
#
#   PYTHON      interpreter, 3.11 or newer (default: python3.11, else python3)
#   TORCH_ARGS  options of `pip install torch`, such as an index of CPU builds
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "==> $*"; }
fail() { echo "error: $*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Installs Debian packages ($2…) that serve purpose $1, or says what is missing; never fails.
apt_install() {
  local purpose=$1 root=()
  shift
  if ! have apt-get; then
    say "missing for $purpose: $* (this system has no apt-get; install them yourself)"
    return
  fi
  if [[ $(id -u) != 0 ]]; then
    if have sudo && { [[ -t 0 && -z ${CI:-} ]] || sudo -n true 2>/dev/null; }; then
      root=(sudo)
    else
      say "missing for $purpose: $* (as root: apt-get install $*)"
      return
    fi
  fi
  say "installing for $purpose: $*"
  "${root[@]}" apt-get update -qq || true
  if ! "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null; then
    say "could not install $*; going on without $purpose"
  fi
}

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

# Prints the interpreter to build .venv on; nothing if none is new enough.
find_python() {
  local candidate
  for candidate in ${PYTHON:-python3.11 python3}; do
    if is_new_enough "$candidate"; then
      echo "$candidate"
      return
    fi
  done
}

make_venv() {
  local python
  python=$(find_python)
  if [[ -z $python && -z ${PYTHON:-} ]]; then
    apt_install "running dovetail" python3 python3-venv
    python=$(find_python)
  fi
  if [[ -z $python ]]; then
    fail "dovetail needs Python 3.11 or newer; tried ${PYTHON:-python3.11, python3}:" \
      "name one with PYTHON=/path/to/python3.11"
  fi
  if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    apt_install "creating .venv" "$("$python" -c \
      'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
  fi
  say "creating .venv with $("$python" --version)"
  "$python" -m venv --clear .venv
}

# What runs the demo's winner in its gates; without it the demo says so and ends before.
install_gates() {
  have iverilog || apt_install "running the demo's winner in its gates" iverilog
}

# Tools that the RTL tests run; without them these tests are skipped.
install_simulators() {
  local missing=()
  have iverilog || missing+=(iverilog)
  have yosys || missing+=(yosys)
  have g++ || missing+=(g++)
  [[ -e /usr/include/lz4.h ]] || missing+=(liblz4-dev)
  [[ -e /usr/include/zlib.h ]] || missing+=(zlib1g-dev)
  if .venv/bin/python -c \
    'import find_libpython, sys; sys.exit(find_libpython.find_libpython() is not None)'; then
    missing+=("$(.venv/bin/python -c \
      'import sys; print("libpython%d.%d" % sys.version_info[:2])')")
  fi
  [[ ${#missing[@]} == 0 ]] || apt_install "the RTL tests" "${missing[@]}"
}

case ${1:-} in
  demo) extras=demo ;;
  all) extras=all,dev ;;
  *) fail "usage: scripts/setup.sh demo|all" ;;
esac

if ! { is_new_enough .venv/bin/python && .venv/bin/python -m pip --version; } >/dev/null 2>&1; then
  make_venv
fi

# The pin comes first and alone: what installs later then finds its torch and takes no other build.
torch=$(sed -n 's/.*"\(torch==[^"]*\)".*/\1/p' pyproject.toml | head -n 1)
[[ -n $torch ]] || fail "pyproject.toml pins no torch"
say "installing $torch (some minutes)"
# shellcheck disable=SC2086  # TORCH_ARGS holds several words
.venv/bin/python -m pip install -q --disable-pip-version-check ${TORCH_ARGS:-} "$torch"
say "installing dovetail[$extras]"
.venv/bin/python -m pip install -q --disable-pip-version-check -e ".[$extras]"
touch .venv/.demo
if [[ $1 == demo ]]; then
  install_gates
else
  install_simulators
  touch .venv/.all
fi
say "ready: .venv/bin/dovetail --help"

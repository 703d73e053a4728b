#!/usr/bin/env bash
# Installs what one make target needs, and nothing that is there already.
#   tools/setup.sh run|deploy|check|seal|adopt|dryrun|dryrun-newest|docs|test|bench|bench-recette|cluster|e2e
# Python packages go to .venv, the programs it builds or unpacks to .build/bin; only what apt has (Chromium, LibreOffice, hunspell, npm, wrk)
# is installed into the system.
set -euo pipefail
# What a shell may export for other work: a `cd` elsewhere, other packages, packages elsewhere.
unset CDPATH PYTHONPATH PYTHONHOME PIP_TARGET PIP_PREFIX PIP_ROOT
export PIP_USER=0
cd "$(dirname "$0")/.."
bin=.build/bin
python=${PYTHON:-python3}

# Which the variable PATH cannot hold.
case $PWD in *:*) printf 'setup: error: rename the folder %s: its path has a colon\n' "$PWD" >&2; exit 1 ;; esac

say() { printf 'setup: %s\n' "$*" >&2; }
die() { printf 'setup: error: %s\n' "$*" >&2; exit 1; }
have() { PATH="$PWD/$bin:$PATH:/usr/sbin" command -v "$1" >/dev/null; }

# as_root COMMAND...: by sudo where there is need and sudo.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; return; fi
  have sudo || die "this needs root, and there is no sudo: $*"
  sudo "$@"
}

# apt_install COMMAND PACKAGE...: installs the packages unless COMMAND is there.
apt_install() {
  local command=$1; shift
  ! have "$command" || return 0
  have apt-get || die "'$command' is missing: install it (on Debian and Ubuntu it is the package '$1'), then run this again"
  say "installing $*"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# NGINX is unpacked, not installed: installing Debian's package would start a web server on port 80 of this machine.
unpack_nginx() {
  ! have nginx || return 0
  have apt-get || die "'nginx' is missing: install it (on macOS 'brew install nginx'), then run this again"
  say "unpacking NGINX into .build"
  local into=.build/nginx
  mkdir -p "$into" "$bin"
  (cd "$into" && { apt-get download -qq nginx || { as_root apt-get update -qq && apt-get download -qq nginx; }; } 2>/dev/null) ||
    die "the package 'nginx' cannot be downloaded: run 'sudo apt-get update', then this again"
  dpkg-deb -x "$into"/nginx_*.deb "$into"
  ln -sf "../nginx/usr/sbin/nginx" "$bin/nginx"
  "$bin/nginx" -v 2>/dev/null || die "NGINX does not start here: install it with 'sudo apt-get install nginx-light', then run this again"
}

# An upgrade of the system's Python leaves packages behind that the new one does not look for.
venv_is_whole() { .venv/bin/python -c 'import os, site, sys; sys.exit(not os.path.isdir(site.getsitepackages()[0]))' 2>/dev/null; }

make_venv() {
  ! venv_is_whole || return 0
  if [ -e .venv ] || [ -L .venv ]; then
    say "making .venv anew: its Python is gone or was upgraded"
    rm -rf .venv
  fi
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "Python 3.11 or later is needed: name one with PYTHON=…"
  "$python" -c 'import ensurepip' 2>/dev/null || apt_install ensurepip python3-venv
  "$python" -m venv .venv
}

# install_python SET: the packages of requirements/SET.txt; a stamp keeps the second run short.
install_python() {
  local lock=requirements/$1.txt stamp=.venv/$1.installed
  [ "$stamp" -nt "$lock" ] && return
  say "installing the Python packages of $lock"
  .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r "$lock"
  touch "$stamp"
}

# install_npm FOLDER: the packages that it locks; without their scripts, one of which would download a Chromium: the system's
# draws diagrams and judges the page.
install_npm() {
  local lock=$1/package-lock.json into=.build/${1##*/}
  [ "$into/.installed" -nt "$lock" ] && return
  say "installing the npm packages of $lock"
  mkdir -p "$into"
  cp "$1"/package*.json "$into"
  npm ci --prefix "$into" --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
  touch "$into/.installed"
}

# sources_of MODULE: a sum of what its programs are built from; times tell nothing in a copy of a folder.
sources_of() { (shopt -s nullglob; cat "$1"/*.mod "$1"/*.go | cksum); }

# go_tool_is_current STAMP MODULE: whether a program was built from the sources that there are. A folder of programs that
# is a link is lent: whoever lends it keeps it current.
go_tool_is_current() { [ -L "$bin" ] || [ "$(cat "$1" 2>/dev/null)" = "$(sources_of "$2")" ]; }

# build_with_go NAME MODULE ARGUMENT...: what Go makes of a module, unless it is there; by the Go of requirements/go.txt,
# so that everyone builds it alike.
build_with_go() {
  local name=$1 module=$2; shift 2
  ! go_tool_is_current ".build/$name.built" "$module" || return 0
  say "building $name"
  install_python go
  mkdir -p "$bin"
  GOBIN=$PWD/$bin GOFLAGS='-mod=readonly -ldflags=-s' CGO_ENABLED=0 .venv/bin/python .venv/bin/go -C "$module" "$@"
  sources_of "$module" > ".build/$name.built"
}

# build_go_tool PACKAGE [MODULE]: a program of MODULE (default: tools).
build_go_tool() { build_with_go "${1//\//-}" "${2:-tools}" install "$1"; }

# What judges alerts as Prometheus does. By upstream's own tag, without how it finds targets in each cloud.
build_promtool() { build_with_go promtool tools/promtool install -tags remove_all_sd github.com/prometheus/prometheus/cmd/promtool; }

# The API server's own code, which says what a cluster would: minutes the first time.
build_dryrun() { build_go_tool dryrun tools/dryrun; }

# Whoever has it goes on having it as the sources say; nobody waits for it who has not asked.
refresh_dryrun() { [ ! -e "$bin/dryrun" ] || build_dryrun; }

# The same of the newest Kubernetes that is supported.
build_newest() { build_with_go dryrun-newest tools/dryrun build -modfile=newest.mod -o "$PWD/$bin/dryrun-newest" .; }

what=${1:-}
case $what in
  run) unpack_nginx; make_venv; install_python run ;;
  deploy) make_venv; install_python run; refresh_dryrun ;;
  check) make_venv; install_python run; refresh_dryrun ;;
  seal) make_venv; install_python run; install_python seal ;;
  adopt) make_venv; install_python test ;;
  dryrun) make_venv; build_dryrun ;;
  dryrun-newest) make_venv; build_newest ;;
  docs) apt_install chromium chromium fonts-liberation; apt_install npm nodejs npm
    apt_install pango-view pango1.0-tools fonts-dejavu-core # WeasyPrint needs their libraries
    apt_install soffice libreoffice-impress
    make_venv; install_python documents; install_npm documents/mermaid ;;
  test) unpack_nginx; apt_install chromium chromium fonts-liberation; apt_install hunspell hunspell hunspell-fr; apt_install shellcheck shellcheck
    make_venv; install_python test
    build_go_tool sigs.k8s.io/kustomize/kustomize/v5; build_go_tool github.com/rhysd/actionlint/cmd/actionlint; build_promtool; build_dryrun ;;
  bench-recette) make_venv; install_python run; build_go_tool github.com/tsenart/vegeta/v12 ;;
  bench-page) unpack_nginx; apt_install chromium chromium; apt_install npm nodejs npm; make_venv; install_python bench; install_npm bench/lighthouse ;;
  bench) unpack_nginx; apt_install wrk wrk; make_venv; install_python bench ;;
  cluster) make_venv; install_python run; build_go_tool sigs.k8s.io/kind ;;
  e2e) apt_install chromium chromium fonts-liberation; make_venv; install_python test
    have docker || die "'docker' is missing: the images under test are built with it (https://docs.docker.com/engine/install/)"
    build_go_tool github.com/nektos/act tools/act ;;
  *) printf 'usage: tools/setup.sh run|deploy|check|seal|adopt|dryrun|dryrun-newest|docs|test|bench|bench-recette|cluster|e2e\n' >&2; exit 2 ;;
esac

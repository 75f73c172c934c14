#!/usr/bin/env bash
# Makes this machine ready for the demo and the tests: system packages, and .cache/venv with the pinned Python packages.
# Does only what is missing; when nothing is, it takes a fraction of a second. Installs system packages only as root.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=$root/.cache/venv
stamp=$venv/.pins
pins=("$root/requirements.txt" "$root/tests/requirements.txt")

# command:Debian package
needed=(conntrack:conntrack curl:curl git:git haproxy:haproxy ip:iproute2 jq:jq knotd:knot make:make nft:nftables
        nsenter:util-linux nsupdate:bind9-dnsutils shellcheck:shellcheck socat:socat)
# Debian keeps some of these out of an ordinary user's PATH.
PATH=$PATH:/usr/sbin:/sbin

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# The range that ansible-core 2.19 supports on a control node. Version managers leave commands that only print an error,
# so each candidate has to prove itself.
find_python() {
    local candidate
    for candidate in python3.11 python3.12 python3.13 python3; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
            2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# Where there is only a Python that is too new, no package of Debian's name mends that.
refuse_new_python() {
    local found
    find_python >/dev/null && return
    found=$(python3 -c 'import sys; sys.version_info > (3, 14) and print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || true
    [[ -z $found ]] || fail "found Python $found, and ansible-core 2.19 needs 3.11 to 3.13. Install one of them beside it, as
    python3.13 with its venv module, and run again."
}

# The lab is made of namespaces that an ordinary user makes; some distributions take that from them.
check_namespaces() {
    local said
    said=$(unshare --user --map-root-user --net --mount --pid --fork true 2>&1) && return
    fail "no user namespaces can be made here ($said), and the lab consists of them. As root, one of
    sysctl -w kernel.apparmor_restrict_unprivileged_userns=0   (Ubuntu since 23.10)
    sysctl -w kernel.unprivileged_userns_clone=1               (older Debian)
    sysctl -w user.max_user_namespaces=10000                   (where it is 0)
allows it until the next boot. In a container it is the container's runtime that has to (--privileged)."
}

missing_packages() {
    local entry
    for entry in "${needed[@]}"; do
        command -v "${entry%%:*}" >/dev/null || echo "${entry#*:}"
    done
    [[ -e /etc/ssl/certs/ca-certificates.crt || ! -e /etc/debian_version ]] || echo ca-certificates
    if ! find_python >/dev/null; then
        # An older distribution (Ubuntu 22.04) has 3.11 beside its default.
        if command -v python3 >/dev/null && ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            echo python3.11-venv
        else
            echo python3-venv
        fi
    fi
}

apt_install() {
    local policy=/usr/sbin/policy-rc.d
    export DEBIAN_FRONTEND=noninteractive
    # Without this Debian starts the HAProxy service on the host; the lab runs its own, in its own network.
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    apt-get update -q
    apt-get install -qy --no-install-recommends "$@"
}

install_system_packages() {
    local packages
    mapfile -t packages < <(missing_packages)
    ((${#packages[@]})) || return 0
    if ! command -v apt-get >/dev/null; then
        fail "missing: ${packages[*]} (Debian's names). Install them with this system's package manager and run again."
    fi
    if ((EUID != 0)); then
        fail "missing system packages. Run this, then try again:
    sudo apt-get update && sudo apt-get install -y ${packages[*]}
Debian starts the services haproxy and knot when it installs them. The lab runs its own, and needs neither:
    sudo systemctl disable --now haproxy knot"
    fi
    say "installing system packages: ${packages[*]}"
    apt_install "${packages[@]}"
    mapfile -t packages < <(missing_packages)
    ((${#packages[@]} == 0)) || fail "still missing after apt-get install: ${packages[*]}"
}

install_python_packages() {
    local python wanted
    # The path is part of the stamp: a virtual environment does not survive being moved.
    wanted=$(printf '%s\n' "$venv" | cat - "${pins[@]}" | sha256sum)
    if [[ -e $stamp && $(<"$stamp") == "$wanted" ]] && "$venv/bin/python" -c '' 2>/dev/null; then
        return 0
    fi
    # pip says where it runs from: a half-made environment is completed, a moved or broken one made anew.
    if [[ $("$venv/bin/pip" --version 2>/dev/null) != *" $venv/"* ]]; then
        python=$(find_python)
        say "making .cache/venv with $("$python" --version)"
        "$python" -m venv --clear "$venv"
    fi
    rm -f "$stamp"
    say "installing the pinned Python packages (about a minute, the first time)"
    "$venv/bin/python" -m pip install --disable-pip-version-check --progress-bar off -r "${pins[1]}" |
        sed -un 's/^ *Downloading /setup:   /p; s/^Installing collected packages:.*/setup: unpacking/p'
    "$venv/bin/python" -m pip check
    printf '%s\n' "$wanted" >"$stamp"
    say "Python packages are in place"
}

refuse_new_python
install_system_packages
check_namespaces
mkdir -p "$root/.cache"
# The demo and the tests may be started at the same time.
exec 9>"$root/.cache/setup.lock"
flock 9
install_python_packages

# Sourced by the scripts beside it: what they need installed, built and started.
# shellcheck shell=bash

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PG_MAJOR=${PG_MAJOR:-15}
PG_CONFIG=${PG_CONFIG:-/usr/lib/postgresql/$PG_MAJOR/bin/pg_config}
export PG_CONFIG

say() { printf '\n== %s\n' "$*"; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# Runs a command as somebody PostgreSQL accepts: never as root.
unprivileged() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

# Installs what is missing of the Debian packages named. PostgreSQL's package
# would create and start a cluster of its own, which nobody here asked for.
install_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "Installing ${missing[*]}"
    local no_cluster=/etc/postgresql-common/createcluster.d/zz-ledger-no-cluster.conf
    [ -d /etc/postgresql ] || {
        as_root mkdir -p "${no_cluster%/*}"
        echo 'create_main_cluster = false' | as_root tee "$no_cluster" >/dev/null
    }
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    as_root rm -f "$no_cluster"
}

install_build_packages() {
    install_packages "postgresql-$PG_MAJOR" "postgresql-client-$PG_MAJOR" "postgresql-server-dev-$PG_MAJOR" \
        g++ make libpq-dev libssl-dev nlohmann-json3-dev
}

install_test_packages() {
    install_packages "postgresql-$PG_MAJOR-pgtap" libipc-run-perl libgtest-dev perl openssl python3
}

# make, quiet unless it fails.
quiet_make() {
    local log
    log=$(mktemp)
    if ! make -s -j"$(nproc)" "$@" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

build_and_install() {
    say 'Building and installing the extension'
    quiet_make -C "$root" all
    as_root make -s -C "$root" PG_CONFIG="$PG_CONFIG" install >/dev/null
}

# A clean copy of the sources in a directory.
copy_sources() {
    tar -C "$root" --exclude=.git --exclude='*.o' --exclude='*.so' --exclude=./build -cf - . | tar -C "$1" -xf -
}

# A directory of one's own to work in, gone when the script ends; so is any
# cluster started with start_cluster.
make_work_directory() {
    work=$(mktemp -d "${TMPDIR:-/tmp}/ledger.XXXXXX")
    [ "$(id -u)" != 0 ] || chown postgres "$work"
    trap clean_up EXIT
    trap 'exit 130' INT TERM
}

clean_up() {
    stop_cluster
    rm -rf "$work"
}

# A throwaway cluster reached through a socket in the work directory alone.
# Arguments: further lines of postgresql.conf. Exports PGHOST, PGPORT and PGUSER.
start_cluster() {
    local bin
    bin=$("$PG_CONFIG" --bindir)
    unprivileged "$bin/initdb" -D "$work/data" -U postgres -A trust --no-sync >/dev/null
    printf '%s\n' "shared_preload_libraries = 'ledger'" "listen_addresses = ''" \
        "unix_socket_directories = '$work'" 'port = 5432' 'max_connections = 300' \
        'max_prepared_transactions = 20' "$@" | unprivileged tee -a "$work/data/postgresql.conf" >/dev/null
    unprivileged "$bin/pg_ctl" -D "$work/data" -l "$work/log" -w start >/dev/null || { cat "$work/log" >&2; return 1; }
    export PGHOST=$work PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
    unset PGSERVICE PGPASSWORD PGOPTIONS
}

# It, and any other server whose data is in the work directory.
stop_cluster() {
    [ -n "${work:-}" ] || return 0
    local file
    for file in "$work"/*/postmaster.pid; do
        [ -f "$file" ] || continue
        unprivileged "$("$PG_CONFIG" --bindir)/pg_ctl" -D "${file%/*}" -m immediate -w stop >/dev/null 2>&1 || true
    done
}

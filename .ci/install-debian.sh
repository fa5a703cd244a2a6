#!/bin/sh
# Installs what the tests need beyond Python on Debian or Ubuntu: make, and a Slurm to run the workflow in.
# Does nothing where all of it is present; asks no questions; starts no service.
set -eu

missing=""
require() {
    command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing="$missing $2"
}
require make make
require munged munge
require slurmctld slurm-wlm
require slurmd slurm-wlm

if [ -z "$missing" ]; then
    echo "install-debian.sh: nothing to install"
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "install-debian.sh: not root; run it as root, or install these packages:$missing" >&2
    exit 1
fi

export DEBIAN_FRONTEND=noninteractive
# The tests start daemons of their own, so the packaged services stay down.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
# shellcheck disable=SC2086  # a list of packages
apt-get install -y -qq --no-install-recommends $missing

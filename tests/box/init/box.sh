#!/bin/sh
# The first process of the box: mounts, processes and network of its own. When it dies, the kernel ends everything
# inside; nothing is left but files and empty cgroups.
#   box.sh STATE PAUSE ADDRESS/BITS
set -eu
state=$1 pause=$2 address=$3
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
hostname box
ip link set lo up
ip link add br0 type bridge
ip address add "$address" dev br0
ip link set br0 up
ip route add 10.201.0.0/16 dev br0                # Services: kube-proxy translates, but only what has a route at all
echo 1 > /proc/sys/net/ipv4/ip_forward          # of this network alone
exec "$pause" box "$state"                      # by these words the box is found again

#!/bin/sh
# A node: one more set of namespaces, inside the box. It joins the box's bridge and then becomes the node's first process;
# killing that is a crash of the node.
#   node.sh join|be PAUSE STATE NAME NUMBER ADDRESS GATEWAY [OTHER-PODS=OTHER-ADDRESS ...]
set -eu
step=$1 pause=$2 state=$3 name=$4 number=$5 address=$6 gateway=$7
folder=$state/$name

if [ "$step" = join ]; then                     # in the box's processes, with a network of its own
    nsenter --target 1 --net sh -c "ip link delete v$number 2>/dev/null || true"        # a crash may have left it
    ip link add eth0 type veth peer name "v$number" netns 1
    nsenter --target 1 --net sh -c "ip link set v$number master br0 up && ip route replace 10.200.$number.0/24 via $address"
    shift
    exec unshare --mount --pid --uts --ipc --fork --kill-child=KILL sh "$0" be "$@"
fi
shift 7

mount --make-rprivate /
# The node's own folders lie where programs expect them, so that containerd, kubelet, CNI and device plugins keep their
# default paths, and nothing of theirs lands on the machine.
mkdir -p "$folder/lib/kubelet" "$folder/lib/containerd" "$folder/var-log" "$folder/sysctl"
mount --bind "$folder/lib" /var/lib
mount --bind "$folder/var-log" /var/log
mount -t tmpfs -o mode=755 tmpfs /run
mount -t proc proc /proc
# sysctls are read-only here, but for those of this network
mkdir /run/net
mount --bind /proc/sys/net /run/net
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount --bind /run/net /proc/sys/net
# kubelet sets these for the whole machine, or stops. It finds the values that it wants and writes nothing.
for setting in kernel/panic=10 kernel/panic_on_oops=1 kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000 \
    vm/overcommit_memory=1 vm/panic_on_oom=0; do
    key=${setting%=*}
    [ -e "/proc/sys/$key" ] || continue
    file=$folder/sysctl/${key##*/}
    echo "${setting#*=}" > "$file"
    mount --bind "$file" "/proc/sys/$key"
done
mount --make-rshared /                          # mountPropagation of volumes works only so

hostname "$name"
ip link set lo up
ip address add "$address/24" dev eth0
ip link set eth0 up
ip route add default via "$gateway"             # kubelet finds its address by the default route; the box leads nowhere else
for other in "$@"; do
    ip route add "${other%=*}" via "${other#*=}"
done
echo 1 > /proc/sys/net/ipv4/ip_forward
exec "$pause" "$name" "$state"

#!/usr/bin/env bash
# A throw-away Slurm with two nodes on loopback, for trying scripts/cluster/slurm_filter.sh and slurm_bench.sh: starts it, runs the arguments, stops it.
#   scripts/cluster/slurm_local.sh COMMAND...          (root; packages slurm-wlm and munge)
set -euo pipefail
dir=$(mktemp -d /tmp/ds-slurm.XXXXXX); chmod 755 "$dir"
dd if=/dev/urandom of="$dir/munge.key" bs=1024 count=1 2> /dev/null; chmod 400 "$dir/munge.key"
pids=()
stop() { for p in "${pids[@]}"; do kill "$p" 2> /dev/null || true; done; wait 2> /dev/null || true; rm -rf "$dir"; }
trap stop EXIT
munged --force --foreground --key-file="$dir/munge.key" --socket="$dir/munge.sock" --pid-file="$dir/munge.pid" --log-file="$dir/munge.log" --seed-file="$dir/munge.seed" > "$dir/munged.out" 2>&1 & pids+=($!)
sleep 1
cat > "$dir/slurm.conf" <<C
ClusterName=local
SlurmctldHost=localhost
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge.sock
CryptoType=crypto/munge
SlurmctldPort=26817
SlurmctldPidFile=$dir/ctld.pid
SlurmdPidFile=$dir/d-%n.pid
SlurmdSpoolDir=$dir/spool-%n
StateSaveLocation=$dir/state
SlurmctldLogFile=$dir/ctld.log
SlurmdLogFile=$dir/d-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
NodeName=n0 NodeHostname=localhost NodeAddr=127.0.0.1 Port=26818 CPUs=1 State=UNKNOWN
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port=26819 CPUs=1 State=UNKNOWN
PartitionName=all Nodes=n0,n1 Default=YES MaxTime=INFINITE State=UP
C
mkdir -p "$dir/state" "$dir/spool-n0" "$dir/spool-n1"
export SLURM_CONF=$dir/slurm.conf
slurmctld -D -f "$dir/slurm.conf" > "$dir/ctld.out" 2>&1 & pids+=($!)
sleep 2
for n in n0 n1; do slurmd -D -N $n -f "$dir/slurm.conf" > "$dir/$n.out" 2>&1 & pids+=($!); done
sleep 4
sinfo || { tail -5 "$dir"/*.log "$dir"/*.out; exit 1; }
"$@"
# Everything that was submitted must end before the cluster goes.
for ((i = 0; i < 240; ++i)); do [ -z "$(squeue -h 2> /dev/null)" ] && break; sleep 1; done
[ -z "$(squeue -h)" ] || { squeue; tail -5 "$dir"/*.log; exit 1; }

# ruff: noqa: E501 - the lines are as long as those systems write them
"""Lines of well-known systems, each with the event it tells, written here in those systems' formats.

A line of a system's list is its weight, then the text, with a name in braces where the system writes a value. Lines
with the same text before a `~` number tell the same event: `~3` marks further forms of event 3.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

WORDS = [
    "root",
    "cyrus",
    "news",
    "test",
    "guest",
    "oracle",
    "admin",
    "fztu",
    "webmaster",
    "mysql",
    "ftp",
    "jira",
    "pi",
    "backup",
    "uucp",
    "games",
    "zhou",
    "amanda",
]
HOSTS = [
    "ns.marrydome.com",
    "220-135-151-1.hinet-ip.hinet.net",
    "proxy.cse.example.edu.hk",
    "mail.globex.com",
    "www.acme.io",
]
NODES = ["mesos-slave-07", "mesos-slave-29", "mesos-master-1", "worker-3", "minint-fnanli5"]
STATES = ["NEW", "INITED", "SETUP", "RUNNING", "SUCCEEDED", "COMMITTING"]


def _make(choose: random.Random) -> dict[str, Callable[[], str]]:
    number = choose.randrange

    def ip() -> str:
        return f"{number(1, 255)}.{number(256)}.{number(256)}.{number(256)}"

    def hexadecimal(length: int) -> str:
        return "".join(choose.choice("0123456789abcdef") for _ in range(length))

    return {
        "int": lambda: str(number(1, 10 ** number(1, 7))),
        "n": lambda: str(number(0, 10)),
        "ip": ip,
        "ipport": lambda: f"{ip()}:{number(1024, 65536)}",
        "slaship": lambda: f"/{ip()}",
        "port": lambda: str(number(1024, 65536)),
        "blk": lambda: f"blk_{choose.choice(['', '-'])}{number(10**15, 10**19)}",
        "blks": lambda: " ".join(f"blk_{choose.choice(['', '-'])}{number(10**18)}" for _ in range(number(1, 9))),
        "hex": lambda: "0x" + hexadecimal(number(2, 9)),
        "hex16": lambda: "0x" + hexadecimal(15),
        "uuid": lambda: "-".join(hexadecimal(size) for size in (8, 4, 4, 4, 12)),
        "sha": lambda: hexadecimal(40),
        "path": lambda: "/" + "/".join(choose.choice(WORDS) for _ in range(number(2, 5))),
        "user": lambda: choose.choice(WORDS),
        "host": lambda: choose.choice(HOSTS),
        "node": lambda: choose.choice(NODES),
        "ms": lambda: f"{number(1, 5000)}",
        "float": lambda: f"{choose.random() * 100:.{number(1, 8)}f}",
        "size": lambda: f"{choose.random() * 900 + 1:.1f} {choose.choice(['B', 'KB', 'MB', 'GB'])}",
        "rdd": lambda: f"rdd_{number(50)}_{number(50)}",
        "bcast": lambda: f"broadcast_{number(90)}{choose.choice(['', '_piece0'])}",
        "bc": lambda: f"broadcast_{number(90)}",
        "tid": lambda: f"TID {number(9999)}",
        "task": lambda: f"attempt_{number(10**12, 10**13)}_{number(9999):04d}_m_{number(999999):06d}_{number(3)}",
        "taskid": lambda: f"task_{number(10**12, 10**13)}_{number(9999):04d}_m_{number(999999):06d}",
        "job": lambda: f"job_{number(10**12, 10**13)}_{number(9999):04d}",
        "app": lambda: f"application_{number(10**12, 10**13)}_{number(9999):04d}",
        "container": lambda: f"container_{number(10**12, 10**13)}_{number(9999):04d}_01_{number(999999):06d}",
        "state": lambda: choose.choice(STATES),
        "date": lambda: f"{choose.choice(['Mon', 'Sat', 'Thu'])} {choose.choice(['Jun', 'Jul', 'Dec'])} "
        f"{number(1, 31)} {number(24):02d}:{number(60):02d}:{number(60):02d} 2005",
        "life": lambda: choose.choice(["<1 sec", f"{number(60):02d}:{number(60):02d}", f"{number(9):02d}:{number(60):02d}:{number(60):02d}"]),
        "loc": lambda: f"R{number(80):02d}-M{number(2)}-N{number(16)}-C:J{number(18):02d}-U{number(12):02d}",
        "axis": lambda: choose.choice("xyz") + choose.choice("+-"),
        "core": lambda: f"core.{number(2**14)}",
        "tenant": lambda: choose.choice(["acme", "globex", "initech", "umbrella", "hooli", "stark-industries"]),
        "email": lambda: f"{choose.choice(WORDS)}@{choose.choice(['acme.io', 'globex.com'])}",
        "route": lambda: choose.choice(["/api/v1/orders", "/api/v1/orders/17", "/health", "/reports/2026?page=2", "/"]),
        "code": lambda: choose.choice(["200", "201", "204", "404", "500"]),
        "sqltable": lambda: choose.choice(["orders", "users", "ledger", "reports", "work_orders"]),
    }  # fmt: skip


SYSTEMS: dict[str, str] = {
    "HDFS": """
30 Receiving block {blk} src: /{ipport} dest: /{ipport}
30 PacketResponder {n} for block {blk} terminating
30 BLOCK* NameSystem.addStoredBlock: blockMap updated: {ipport} is added to {blk} size {int}
30 Received block {blk} of size {int} from {slaship}
10 BLOCK* NameSystem.allocateBlock: {path}/part-{int}. {blk}
9 Verification succeeded for {blk}
25 Deleting block {blk} file {path}/subdir{int}/{blk}
25 BLOCK* NameSystem.delete: {blk} is added to invalidSet of {ipport}
8 {ipport} Served block {blk} to {slaship}
7 {ipport}:Got exception while serving {blk} to {slaship}:
2 Received block {blk} src: /{ipport} dest: /{ipport} of size {int}
2 BLOCK* ask {ipport} to delete {blks}
2 {ipport} Starting thread to transfer block {blk} to {ipport}
1 {ipport}:Transmitted block {blk} to /{ipport}
1 BLOCK* ask {ipport} to replicate {blk} to datanode(s) {ipport}
1 writeBlock {blk} received exception java.io.IOException: Connection reset by peer
1 Exception in receiveBlock for block {blk} java.io.IOException: Connection reset by peer
1 Unexpected error trying to delete block {blk}. BlockInfo not found in volumeMap.
""",
    "Hadoop": """
12 {task} TaskAttempt Transitioned from NEW to UNASSIGNED
12 {task} TaskAttempt Transitioned from UNASSIGNED to ASSIGNED
12 {task} TaskAttempt Transitioned from ASSIGNED to RUNNING
6 {taskid} Task Transitioned from NEW to SCHEDULED
6 {taskid} Task Transitioned from SCHEDULED to RUNNING
4 {job}Job Transitioned from NEW to INITED
4 {job}Job Transitioned from INITED to SETUP
30 Progress of TaskAttempt {task} is : {float}
20 Assigned container {container} to {task}
20 Address change detected. Old: {node}/{ipport} New: {node}:{port}
20 Retrying connect to server: {node}/{ipport}. Already tried {n} time(s); retry policy is RetryUpToMaximumCountWithFixedSleep(maxRetries=10, sleepTime=1000 MILLISECONDS)
15 Failed to renew lease for [DFSClient_NONMAPREDUCE_{int}_1] for {int} seconds.  Will retry shortly ...
10 ERROR IN CONTACTING RM.
10 Recalculating schedule, headroom=<memory:{int}, vCores:-{int}>
10 Reduce slow start threshold not met. completedMapsForReduceSlowstart {int}
8 Launching {task}
8 The job-conf file on the remote FS is {path}/job.xml
8 JVM with ID : jvm_{int}_m_{int} asked for a task
8 JVM with ID: jvm_{int}_m_{int} given task: {task}
7 Added {task} to list of failed maps
6 After Scheduling: PendingReds:{n} ScheduledMaps:{n} ScheduledReds:{n} AssignedMaps:{n} AssignedReds:{n} CompletedMaps:{n} CompletedReds:{n} ContAlloc:{n} ContRel:{n} HostLocal:{n} RackLocal:{n}
5 Opening proxy : {node}:{port}
5 Resolved {node} to /default-rack
4 Got allocated containers {int}
4 Received completed container {container}
3 Executing with tokens:
3 Using mapred newApiCommitter.
2 Scheduled snapshot period at {n} second(s).
2 MapTask metrics system started
2 Diagnostics report from {task}: Container killed by the ApplicationMaster.
1 Started HttpServer2$SelectChannelConnectorWithSafeStartup@0.0.0.0:{port}
1 Starting Socket Reader #{n} for port {port}
1 Stopping server on {port}
""",
    "Spark": """
40 Found block {rdd} locally
15 Started reading broadcast variable {int}
15 Reading broadcast variable {int} took {ms} ms
20 Block {bcast} stored as values in memory (estimated size {size}, free {size})
20 Block {bcast} stored as bytes in memory (estimated size {size}, free {size})
25 Finished task {float} in stage {float} (TID {int}). {int} bytes result sent to driver
25 Running task {float} in stage {float} (TID {int})
25 Got assigned task {int}
8 Partition {rdd} not found, computing it
12 Times: total = {int}, boot = {int}, init = {int}, finish = {n}
10 Input split: hdfs://{ipport}{path}:{int}+{int}
3 Changing view acls to: {user},{user}
3 Changing modify acls to: {user},{user}
2 SecurityManager: authentication disabled; ui acls disabled; users with view permissions: Set({user}, {user}); users with modify permissions: Set({user}, {user})
2 Created local directory at {path}/blockmgr-{uuid}
2 MemoryStore started with capacity {size}
2 Connecting to driver: spark://CoarseGrainedScheduler@{ipport}
2 Successfully registered with driver
2 Starting executor ID {n} on host {node}
2 Server created on {port}
1 Registered BlockManager
1 Trying to register BlockManager
2 Successfully started service 'org.apache.spark.network.netty.NettyBlockTransferService' on port {port}.
2~23 Successfully started service 'sparkExecutorActorSystem' on port {port}.
2 Removed RDD {int}
1 Remoting started; listening on addresses :[akka.tcp://sparkExecutorActorSystem@{node}:{port}]
1 Saved output of task '{task}' to hdfs://{ipport}{path}
1 mapred.tip.id is deprecated. Instead, use mapreduce.task.id
""",
    "Zookeeper": """
30 Received connection request /{ipport}
30 Accepted socket connection from /{ipport}
25 Cannot open channel to {n} at election address /{ipport}
25 Interrupted while waiting for message on queue
20 Connection broken for id {int}, my id = {n}, error =
20 Interrupting SendWorker
20 Send worker leaving thread
15 Notification time out: {int}
15 Client attempting to establish new session at /{ipport}
15 Established session {hex16} with negotiated timeout {int} for client /{ipport}
15 Closed socket connection for client /{ipport} which had sessionid {hex16}
10 Closed socket connection for client /{ipport} (no session established for client)
10 caught end of stream exception
12 Expiring session {hex16}, timeout of {int}ms exceeded
12 Processed session termination for sessionid: {hex16}
6 Exception causing close of session {hex} due to java.io.IOException: ZooKeeperServer not running
6 Notification: {n} (n.leader), {hex} (n.zxid), {n} (n.round), LOOKING (n.state), {n} (n.sid), {hex} (n.peerEPoch), LOOKING (my state)
3 Have smaller server identifier, so dropping the connection: ({n}, {n})
3 Connection request from old client /{ipport}; will be dropped if server is in r-o mode
2 Got user-level KeeperException when processing sessionid:{hex16} type:create cxid:{hex} zxid:{hex} txntype:-1 reqpath:n/a Error Path:{path} Error:KeeperErrorCode = NodeExists for {path}
2 Follower sync: Sending a diff
1 FOLLOWING - LEADER ELECTION TOOK - {int}
1 LEADING - LEADER ELECTION TOOK - {int}
1 Snapshotting: {hex} to {path}/snapshot.{int}
1 Reading snapshot {path}/snapshot.{int}
1 tickTime set to {int}
1 minSessionTimeout set to {int}
1 maxSessionTimeout set to {int}
1 Server environment:java.version=1.7.0_{int}
1 binding to port 0.0.0.0/0.0.0.0:{port}
""",
    "BGL": """
60 generating {core}
15 {int} ddr errors(s) detected and corrected on rank {n}, symbol {int}, bit {n}
20 CE sym {int}, at {hex}, mask {hex}
15 instruction cache parity error corrected
10 total of {int} ddr error(s) detected and corrected
10 {int} double-hummer alignment exceptions
10 iar {hex} dear {hex}
8 ciod: failed to read message prefix on control stream (CioStream socket to {ipport}
8 ciod: Error reading message prefix after LOGIN_MESSAGE on CioStream socket to {ipport}: Link has been severed
6 ciod: LOGIN chdir({path}) failed: No such file or directory
6 data TLB error interrupt
6 data storage interrupt
4 {n} torus receiver {axis} input pipe error(s) (dcr {hex}) detected and corrected
4 {n} torus sender {axis} retransmission error(s) (dcr {hex}) detected and corrected over {int} seconds
4 {n} tree receiver {n} in re-synch state event(s) (dcr {hex}) detected
4 r{int}={hex} r{int}={hex} r{int}={hex} r{int}={hex}
3 machine check: i-fetch......................{n}
3 program interrupt: illegal instruction......{n}
2 rts: kernel terminated for reason {int}
2 rts panic! - stopping execution
2 Node card VPD check: missing {loc} node, VPD ecid {int} in processor card slot J{int}
1 MidplaneSwitchController performing bit sparing on {loc} bit {n}
1 NFS Mount failed on {node}:{path}, slept {int} seconds, retrying ({n})
1 idoproxy communication failure: socket closed
1 lr:{hex} cr:{hex} xer:{hex} ctr:{hex}
1 suppressing further interrupts of same type
""",
    "Linux": """
30 authentication failure; logname= uid={n} euid={n} tty=NODEVssh ruser= rhost={ip}
2~1 authentication failure; logname= uid={n} euid={n} tty=NODEVssh ruser= rhost={host}
30 authentication failure; logname= uid={n} euid={n} tty=NODEVssh ruser= rhost={ip} user={user}
20 check pass; user unknown
20 session opened for user {user} by (uid={n})
20 session closed for user {user}
20 connection from {ip} () at {date}
10 connection from {ip} ({host}) at {date}
8 ALERT exited abnormally with [{n}]
4 Kerberos authentication failed
4 Couldn't authenticate user
4 ANONYMOUS FTP LOGIN FROM {ip}, (anonymous)
3 getpeername (ftpd): Transport endpoint is not connected
3 Did not receive identification string from {ip}
3 Received disconnect from {ip}: {int}: Bye Bye
2 warning: can't get client address: Connection reset by peer
1 {user} startup succeeded
1 {user} shutdown succeeded
2 Out of Memory: Killed process {int} (httpd).
1 imklog 3.18.1, log source = /proc/kmsg started.
1 usbcore: registered new driver hub
1 usbcore: registered new driver hiddev
1 Linux version 2.6.5-1.{int} (bhcompile@bugs.build.example.com) (gcc version 3.3.3) #1 Sat May 8 09:01:26 EDT 2004
1 CPU 0 irqstacks, hard={hex} soft={hex}
1 Memory: {int}k/{int}k available ({int}k kernel code, {int}k reserved, {int}k data, {int}k init, {int}k highmem)
1 PCI: Using IRQ router PIIX/ICH [8086/2410] at 0000:00:1f.0
1 audit({int}.{int}:{n}): initialized
1 cups: cupsd -HUP succeeded
""",
    "OpenSSH": """
30 Failed password for {user} from {ip} port {port} ssh2
30 Failed password for invalid user {user} from {ip} port {port} ssh2
15 Invalid user {user} from {ip}
15 input_userauth_request: invalid user {user} [preauth]
30 pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={ip}
30 pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={host}  user={user}
15 pam_unix(sshd:auth): check pass; user unknown
30 Received disconnect from {ip}: 11: Bye Bye [preauth]
12 reverse mapping checking getaddrinfo for {host} [{ip}] failed - POSSIBLE BREAK-IN ATTEMPT!
10 Connection closed by {ip} [preauth]
6 Did not receive identification string from {ip}
6 PAM {n} more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost={ip}  user={user}
6 Disconnecting: Too many authentication failures for {user} [preauth]
6 PAM service(sshd) ignoring max retries; {n} > 3
4 error: Received disconnect from {ip}: {n}: com.jcraft.jsch.JSchException: Auth fail [preauth]
3 message repeated {n} times: [ Failed password for {user} from {ip} port {port} ssh2]
2 Accepted password for {user} from {ip} port {port} ssh2
2 pam_unix(sshd:session): session opened for user {user} by (uid=0)
2 pam_unix(sshd:session): session closed for user {user}
2 Received disconnect from {ip}: 11: disconnected by user
1 fatal: Write failed: Connection reset by peer [preauth]
1 Server listening on {ip} port {port}.
1 Bad protocol version identification 'GET / HTTP/1.0' from {ip} port {port}
""",
    "Apache": """
40 jk2_init() Found child {int} in scoreboard slot {n}
40 workerEnv.init() ok {path}/workers2.properties
30 mod_jk child workerEnv in error state {n}
4 [client {ip}] Directory index forbidden by rule: {path}
3 jk2_init() Can't find child {int} in scoreboard
2 mod_jk child init {n} -{n}
3 [client {ip}] File does not exist: {path}
1 Graceful restart requested, doing restart
1 caught SIGTERM, shutting down
1 Apache/2.0.49 (Fedora) configured -- resuming normal operations
""",
    "OpenStack": """
20 {ip} "GET {path}/servers/detail HTTP/1.1" status: {int} len: {int} time: {float}
10 {ip} "POST {path}/os-server-external-events HTTP/1.1" status: {int} len: {int} time: {float}
5 {ip} "DELETE {path}/servers/{uuid} HTTP/1.1" status: {int} len: {int} time: {float}
6 [instance: {uuid}] VM Started (Lifecycle Event)
6 [instance: {uuid}] VM Paused (Lifecycle Event)
6 [instance: {uuid}] VM Resumed (Lifecycle Event)
6 [instance: {uuid}] VM Stopped (Lifecycle Event)
6 [instance: {uuid}] During sync_power_state the instance has a pending task (spawning). Skip.
5 [instance: {uuid}] Took {float} seconds to build instance.
5 [instance: {uuid}] Took {float} seconds to spawn the instance on the hypervisor.
5 [instance: {uuid}] Took {float} seconds to destroy the instance on the hypervisor.
5 [instance: {uuid}] Took {float} seconds to deallocate network for instance.
5 [instance: {uuid}] Total memory: {int} MB, used: {float} MB
5 [instance: {uuid}] memory limit: {float} MB, free: {float} MB
5 [instance: {uuid}] Total vcpu: {int} VCPU, used: {float} VCPU
5 [instance: {uuid}] Attempting claim: memory {int} MB, disk {int} GB, vcpus {n} CPU
5 [instance: {uuid}] Claim successful
5 [instance: {uuid}] Creating image
5 [instance: {uuid}] Deleting instance files {path}/{uuid}_del
5 [instance: {uuid}] Deletion of {path}/{uuid}_del complete
5 [instance: {uuid}] Terminating instance
5 [instance: {uuid}] Instance destroyed successfully.
5 [instance: {uuid}] Instance spawned successfully.
10 image {uuid} at ({path}/{sha}): checking
8 image {uuid} at ({path}/{sha}): in use: on this node {n} local, {n} on other nodes sharing this instance storage
8 Active base files: {path}/{sha}
4 Removable base files: {path}/{sha} {path}/{sha}
4 Base or swap file too young to remove: {path}/{sha}
4 Unknown base file: {path}/{sha}
3 Running instance usage audit for host {node} from 2017-05-16 {n}:00:00 to 2017-05-16 {n}:00:00. {int} instances.
3 Auditing locally available compute resources for node {node}
3 Final resource view: name={node} phys_ram={int}MB used_ram={int}MB phys_disk={int}GB used_disk={int}GB total_vcpus={int} used_vcpus={n} pci_stats=[]
2 While synchronizing instance power states, found {n} instances in the database and {n} instances on the hypervisor.
2 HTTP exception thrown: No instances found for any event
""",
    "Proxifier": """
30 {host}:{port} close, {int} bytes sent, {int} bytes received, lifetime {life}
20 {host}:{port} close, {int} bytes ({size}) sent, {int} bytes received, lifetime {life}
20 {host}:{port} close, {int} bytes sent, {int} bytes ({size}) received, lifetime {life}
20 {host}:{port} close, {int} bytes ({size}) sent, {int} bytes ({size}) received, lifetime {life}
40 {host}:{port} open through proxy {host}:{port} HTTPS
10 {host}:{port} open through proxy {host}:{port} SOCKS5
3 {host}:{port} error : Could not connect through proxy {host}:{port} - Proxy server cannot establish a connection with the target, status code {int}
2 open through proxy {host}:{port} failed : timeout
""",
    "HealthApp": """
30 onStandStepChanged {int}
30 onExtend:{int} {int} {int} {int}
30 getTodayTotalDetailSteps = {int}##{int}##{int}##{int}
25 setTodayTotalDetailSteps={int}##{int}##{int}##{int}
25 calculateCaloriesWithCache totalCalories={int}
25 calculateAltitudeWithCache totalAltitude={int}
20 REPORT : {int} {int} {int} {int}
5 processHandleBroadcastAction action:android.intent.action.SCREEN_ON
5 onReceive action: android.intent.action.SCREEN_OFF
4 flush sensor data
3 screen status unknown,think screen on
3 saveHealthDetailData() saveOneDetailData fail hiHealthData = {int},type = {int}
2 insertHiHealthData() bulkSaveDetailHiHealthData fail errorCode = {n},errorMessage = ERR_DATA_INSERT
2 closeDBLock
2 checkCurrentDay a new day comes , reset basicStandardSteps
1 upLoadHealthData uploadTime = {int}
1 initDataPrivacy the dataPrivacy is true
1 getBinderPackageName packageName = com.huawei.health
""",
    "Product": """
30 {tenant} signed in
25 order {int} of {tenant} created in {float}ms
25 GET {route} {code} {float}ms
10 POST {route} {code} {float}ms
10 slow query on {sqltable}: {float}s
8 user {email} logged in from {ip}
8 user {email} logged out
8 password reset requested for {email}
6 payment {uuid} failed: card declined
6 payment {uuid} failed: insufficient funds
6 payment {uuid} captured
5 job send_invoices finished in {float}s
5~12 job sync_work_orders finished in {float}s
5 cache miss for key tenant:{tenant}:settings
5 connection pool exhausted: {n} of {n} in use, {int} waiting
4 tenant {tenant} exceeded its quota of {int} requests
4 export of {int} rows to {path}.csv done
3 webhook to https://{host}/hooks/{uuid} answered {code}
3 retrying in {n} seconds (attempt {n} of {n})
2 organization {tenant} switched plan from free to pro
2 Traceback (most recent call last):
""",
}

HEADERS = {
    "HDFS": "081109 {n}03615 {int} INFO dfs.DataNode$PacketResponder: ",
    "Linux": "Jun {n} 15:16:{n}1 combo sshd(pam_unix)[{int}]: ",
    "OpenSSH": "Dec 1{n} 06:55:4{n} LabSZ sshd[{int}]: ",
    "Apache": "[Sun Dec 0{n} 04:47:44 2005] [notice] ",
    "Zookeeper": "2015-07-29 17:41:4{n},{int} - INFO  [QuorumPeer[myid={n}]/0:0:0:0:0:0:0:0:2181:FastLeaderElection@{int}] - ",
    "Product": "2026-11-21T14:02:{n}1.{int}Z INFO ",
}
"""What stands before the message in whole lines of some of them."""

_FIELD = re.compile(r"\{(\w+)\}")


def lines_of(system: str, count: int = 2000, seed: int = 7, *, whole: bool = False) -> list[tuple[str, int]]:
    """(line, event): every event at least once, the rest drawn by weight. whole: with what a file has before each."""
    choose = random.Random(f"{system}{seed}")
    make = _make(choose)
    forms: list[tuple[int, int, str]] = []
    for place, said in enumerate(SYSTEMS[system].strip("\n").split("\n")):
        weight, _, text = said.partition(" ")
        number, _, event = weight.partition("~")
        forms.append((int(number), int(event) - 1 if event else place, text))
    drawn = [*forms, *choose.choices(forms, [weight for weight, _, _ in forms], k=count - len(forms))]
    choose.shuffle(drawn)
    header = HEADERS.get(system, "") if whole else ""
    return [(_FIELD.sub(lambda field: make[field[1]](), header + text), event) for _, event, text in drawn]


def grouping_accuracy(events: list[int], groups: list[int]) -> float:
    """Share of lines whose group holds exactly the lines of their event (Zhu et al., ICSE-SEIP 2019)."""
    of_event: dict[int, list[int]] = {}
    of_group: dict[int, list[int]] = {}
    for place, (event, group) in enumerate(zip(events, groups, strict=True)):
        of_event.setdefault(event, []).append(place)
        of_group.setdefault(group, []).append(place)
    right = sum(len(lines) for lines in of_group.values() if of_event[events[lines[0]]] == lines)
    return right / len(events)

import { type TestReference, testsOf } from "./compatibility/row.ts";

/** A fault, what becomes of it, and the tests that bring it about. */
export interface ReliabilityRow {
  readonly number: number;
  readonly fault: string;
  /** In a user's words. */
  readonly promise: string;
  readonly shownBy: readonly TestReference[];
}

const batch = testsOf("tests/engines/local/run-batch.test.ts");
const carryOut = testsOf("tests/operations/carry-out-run.test.ts");
const crashPoints = testsOf("tests/stories/crash-points.test.ts");
const damage = testsOf("tests/stories/durability-server.test.ts");
const durability = testsOf("tests/stories/durability.test.ts");
const environments = testsOf("tests/environments/interrupted-builds.test.ts");
const failures = testsOf("tests/stories/failures.test.ts");
const fetches = testsOf("tests/git/interrupted-fetch.test.ts");
const files = testsOf("tests/lib/files.test.ts");
const forwarding = testsOf("tests/engines/local/ingress/forwarding.test.ts");
const https = testsOf("tests/git/https-access.test.ts");
const idle = testsOf("tests/engines/local/ingress/idle-connections.test.ts");
const ingress = testsOf("tests/engines/local/ingress/ingress.test.ts");
const jobs = testsOf("tests/operations/jobs.test.ts");
const kills = testsOf("tests/stories/random-kills.test.ts");
const lock = testsOf("tests/lib/process-lock.test.ts");
const migrate = testsOf("tests/store/migrate.test.ts");
const power = testsOf("tests/stories/durability-power.test.ts");
const processes = testsOf("tests/engines/local/processes/processes.test.ts");
const races = testsOf("tests/stories/races.test.ts");
const restore = testsOf("tests/store/restore.test.ts");
const rollOut = testsOf("tests/engines/local/ingress/roll-out.test.ts");
const runs = testsOf("tests/operations/run-actions.test.ts");
const scheduler = testsOf("tests/scheduler/scheduler.test.ts");
const server = testsOf("tests/http/server-control.test.ts");
const serverKilled = testsOf("tests/engines/local/processes/server-killed.test.ts");
const services = testsOf("tests/engines/local/services.test.ts");
const stories = testsOf("tests/stories/crashes.test.ts");
const tree = testsOf("tests/engines/local/processes/process-tree.test.ts");

export const reliabilityRows: readonly ReliabilityRow[] = [
  {
    number: 1,
    fault: "The server is killed at any step of a deployment",
    promise:
      "The next server, which the next command starts, goes on with the run to its end; a stage that has run is not run again; services answer meanwhile.",
    shownBy: [
      ...crashPoints(
        "the real server killed right after … of the steps of a deploy: the next one goes on, the stage runs once, nobody notices",
      ),
      ...kills(
        "the server killed at any moment of a deploy (… times): the run goes on to its end, its stage runs once, one version serves, nobody notices",
      ),
      ...testsOf("tests/operations/crashes.test.ts")(
        "killed at any write of $name, it ends as if it had not been",
      ),
      ...testsOf("tests/operations/job-crashes.test.ts")(
        "killed at any write of $name, it ends as if it had not been",
      ),
    ],
  },
  {
    number: 2,
    fault: "The server is killed just as it starts a stage",
    promise:
      "The attempt is on record before it starts: the next server finds the stage, and does not start it twice.",
    shownBy: [
      ...processes("a start whose helper is killed meanwhile happens once"),
      ...serverKilled("a shim that comes late and was not given up does run, and is adopted"),
      ...testsOf("tests/operations/crashes.test.ts")(
        "the table can fail: when the attempt is not on record before it starts, it is started twice",
      ),
    ],
  },
  {
    number: 3,
    fault: "A stage ends while no server runs",
    promise: "Its exit code and its log are kept, and the run goes on with them.",
    shownBy: serverKilled(
      "the exit code outlives the server in 20 of 20 kills, and nothing runs twice",
      "a program that ended while there was no server is found with its exit code",
    ),
  },
  {
    number: 4,
    fault: "What watches over a stage's process is killed",
    promise: "The attempt is lost, which is told; it is tried again only as far as `retries` says.",
    shownBy: serverKilled("a program whose shim was killed is lost, and ended"),
  },
  {
    number: 5,
    fault: "The ingress is killed under load",
    promise: "It is back at once. What was in flight fails; no connection is refused.",
    shownBy: [
      ...ingress(
        "killed with -9 under load, it is back at once: what was in flight fails, nothing is refused, others wait",
        "the guard matters: a program that holds its socket itself refuses connections when it is killed",
      ),
      ...kills(
        "the ingress or a replica killed at any moment of a deploy (… times): nobody is refused, and no more is lost than was in flight",
      ),
    ],
  },
  {
    number: 6,
    fault: "The power is cut",
    promise:
      "What was acknowledged is there, as far as the disk stores what it says it has stored. Stages that ran are lost, which is told; services are started again.",
    shownBy: [
      ...power(
        "the power cut at any moment (… times), with what was not synced half written or not at all: no acknowledged row is lost",
        "control: on a disk that does not store the log when it says so, rows are lost",
      ),
      ...serverKilled("what ran before the machine restarted is lost, and what had ended is known"),
    ],
  },
  {
    number: 7,
    fault: "The disk of the store has errors",
    promise:
      "What can't be written is not acknowledged, and what was acknowledged is not lost. Services go on.",
    shownBy: [
      ...durability(
        "of a store whose writer meets $name, from one of its first … calls on (… times), no acknowledged row is lost",
        "of a store whose writer is killed at one of its first … calls to the disk (… times) no acknowledged row is lost",
        "of a store whose writer is killed at any moment (… times) no acknowledged row is lost",
        "control: a writer that says it is done before it is loses rows to errors and to kills",
      ),
      ...damage(
        "a server whose store meets errors of the disk as it deploys (… times): the run that was accepted goes on to its end, and nobody notices",
      ),
    ],
  },
  {
    number: 8,
    fault: "The disk is full",
    promise:
      "The deployment fails and says so, the live release serves on, and once there is room the next one works.",
    shownBy: [
      ...testsOf("tests/stories/disk-full.test.ts")(
        "a full disk fails a deploy in plain words, the live release serves on, and once there is room the next deploy works",
      ),
      ...services("a store that refuses (a full disk) ends no service, and what it missed is stored later"),
      ...testsOf("tests/store/store-faults.test.ts")(
        "on a full disk writing is refused in plain words, and what was written before is still there",
      ),
      ...runs("a full disk does not lose the run: it goes on from its record when there is space again"),
    ],
  },
  {
    number: 9,
    fault: "The store is damaged",
    promise:
      "It is refused, and nothing is written into it; services go on. `bodywork server restore` brings a backup back, and keeps the damaged store beside it. A damaged record is told from a whole one; the few bytes by which records are found have no checksum.",
    shownBy: [
      ...damage(
        "a store that is damaged: services answer all along, nothing is written into it, and a backup brings everything back",
      ),
      ...testsOf("tests/store/flipped-bits.test.ts")(
        "a store with flipped bits (… times) is refused in plain words, or answers as before",
        "control: without the checksums of the records, many wrong answers come out of it",
      ),
      ...restore("a damaged store is replaced too, and kept as it is"),
    ],
  },
  {
    number: 10,
    fault: "A file is half written when its writer is killed",
    promise: "Every file that is read again is the old one or the new one, whole.",
    shownBy: [
      ...files(
        "a file that is written at once whenever its writer is killed, every reader sees the old content or the new, whole",
        "a file that is written at once control: written in place, it is seen torn",
      ),
      ...restore("killed at any moment of it, there is the store as it was or the restored one"),
    ],
  },
  {
    number: 11,
    fault: "A service crashes, once or over and over",
    promise:
      "It is started again, later each time up to a minute; the other replicas answer. `get deployment` says why.",
    shownBy: [
      ...stories("a killed service process is started again, and the other replica answers meanwhile"),
      ...services(
        "a service that keeps crashing is seen as a crash loop with its reason, and is well again when it is mended",
      ),
      ...testsOf("tests/engines/local/restart-delay.test.ts")(
        "a service that was well waits 1 s after its first crash, then twice as long each time, up to a minute",
      ),
    ],
  },
  {
    number: 12,
    fault: "A new version never gets ready",
    promise:
      "The deployment fails, the old version serves every request, and nothing of the new one is left.",
    shownBy: [
      ...failures(
        "a commit that fails in any way exits with 1, says why, and the old release answers every request meanwhile",
      ),
      ...carryOut(
        "a service that never gets ready fails the run, and the others go back to the live release",
      ),
    ],
  },
  {
    number: 13,
    fault: "A service hangs",
    promise: "One that does not answer on its health path any more is started again.",
    shownBy: services(
      "one with a health path that answers nothing any more is started again, for all that the system accepts for it",
      "a service that does not listen any more is started again",
    ),
  },
  {
    number: 14,
    fault: "A program ignores SIGTERM, or leaves its session",
    promise: "It is killed when its time is over, with all that it has started.",
    shownBy: processes(
      "a program that ignores SIGTERM is killed after the grace time, and so are all its children",
      "what a program leaves behind is ended with it, also in a session of its own",
    ),
  },
  {
    number: 15,
    fault: "A process id is used again by a stranger",
    promise: "The stranger is neither taken for ours nor signalled.",
    shownBy: [
      ...tree(
        "a stranger with the shim's process id and start tick is not the shim, nor is its session ours",
        "a later session with the number of ours is a stranger's, and what was in ours before is not",
      ),
      ...lock("a process with a dead holder's id but another start is not taken for it"),
    ],
  },
  {
    number: 16,
    fault: "A port is taken by another process",
    promise: "Another address is used, or what has it is told; no request goes to a stranger.",
    shownBy: [
      ...testsOf("tests/engines/local/readiness.test.ts")(
        "a replica is not ready when another process listens on its address",
      ),
      ...testsOf("tests/engines/local/addresses.test.ts")(
        "the address of a replica is none that somebody listens on (Linux only)",
      ),
      ...ingress("a port that is taken means the next free one, which is told, and stays"),
    ],
  },
  {
    number: 17,
    fault: "One project is deployed several times at once",
    promise: "One after the other: the newest wins, and one that is overtaken while it waits says by which.",
    shownBy: [
      ...runs(
        "fifty deploys at once end with one live release, strictly growing numbers and nothing running",
        "of several that wait, only the newest is carried out; the others say which one took their place",
      ),
      ...races(
        "two commits deployed at the same moment (… times): one after the other or not at all, and what was asked for last serves",
      ),
    ],
  },
  {
    number: 18,
    fault: "Two servers on one home folder",
    promise: "There is one. The lock of one that was killed is taken over, by one only.",
    shownBy: [
      ...races("five commands that start a server at once get one and the same (… times)"),
      ...server("ten commands at once end up at one server, however long it takes to start"),
      ...lock(
        "of eight processes, three of which die holding it, no two ever hold it together",
        "a dead holder is replaced by one only, however many look at the same time",
        "control: without the lock, counts are lost",
      ),
    ],
  },
  {
    number: 19,
    fault: "A deployment is cancelled in any phase",
    promise: "What it has changed is put back, and what it has started ends.",
    shownBy: [
      ...kills(
        "Ctrl-C at any moment of a deploy (… times): it is cancelled or was done, the live version serves, every process of a cancelled run is gone",
      ),
      ...carryOut("a run can be cancelled in every phase, and leaves what served as it was"),
    ],
  },
  {
    number: 20,
    fault: "The tool is upgraded, or goes back to an older version",
    promise:
      "The store is copied, then migrated in one transaction each step: killed in the middle, it is as it was. An older tool refuses a newer store; the copy, `store.db.before-vN`, is its way back.",
    shownBy: migrate(
      "a store of version 1 opens with all that is in it, and takes what version 1 did not know",
      "killed at any moment of a migration, the store is as it was or migrated, and opens with all of it",
      "before a migration the store is copied, for its owner only: with it the older tool goes on where it was",
      "an older tool refuses the migrated store for writing and for reading, and leaves it as it is",
      "control: steps that are no transaction leave a store between two versions when they are killed",
    ),
  },
  {
    number: 21,
    fault: "The Git server is down, slow, endless or refuses; a branch is forced or gone",
    promise:
      "The deployment fails in Git's own words within its time limit; what serves goes on. A forced branch is followed.",
    shownBy: [
      ...https(
        "A server that is not to be had is unreachable, in git's own words, and may be tried again",
        "A server without end that sends a byte now and then is left after the time limit, with its processes",
        "A server without end that sends more than the limit is left, and the disk is as it was",
      ),
      ...testsOf("tests/git/git-source.test.ts")(
        "A ref becomes one commit what the branch is now, after a force push, and after a branch became a folder of branches",
      ),
      ...fetches(
        "A process that is killed while it fetches leaves nothing that the next fetch does not clear away, in a mirror that is known",
      ),
    ],
  },
  {
    number: 22,
    fault: "An environment can't be built, or its builder is killed",
    promise: "Half an environment is never used, and those that are in use are not touched.",
    shownBy: [
      ...environments(
        "environments whose builder is killed or cancelled killed at any moment, an environment is found whole or not at all",
        "environments whose builder is killed or cancelled an environment that had not reached the disk when the machine went down is made again",
      ),
      ...testsOf("tests/environments/uv-environments.test.ts")(
        "building an environment with uv (skipped: put uv on PATH, as the set-up does) a requirement that can't be had fails with uv's own reason, and nothing is left but the log",
      ),
    ],
  },
  {
    number: 23,
    fault: "A stage runs too long, takes too much memory, crashes",
    promise: "It ends with all that it has started, and the run says which of these it was.",
    shownBy: [
      ...batch(
        "how a stage ended is told exactly",
        "at its time limit the whole process tree is ended, also what has left its session",
      ),
      ...processes("out of memory is told from what the kernel did, not from the exit code"),
    ],
  },
  {
    number: 24,
    fault: "The clock jumps, or is changed for daylight saving",
    promise: "A due time fires once at most; waits and time limits do not depend on the clock.",
    shownBy: [
      ...scheduler(
        "a clock that is set back by an hour fires nothing a second time",
        "a clock that is set forward by an hour, or a machine that slept, is told from a server that did not run",
        "a clock that goes ten years ahead makes one job, and when it comes back cronjobs go on at once",
      ),
      ...testsOf("tests/core/cron/daylight-saving.test.ts")(
        "where the clocks are changed $timezone, $schedule ($rule): $why",
        "where the clocks are changed a scheduler that leaves the change to its library, or knows none, gets other times",
      ),
      ...jobs("a clock that was set back by a day does not make a retry wait for a day"),
    ],
  },
  {
    number: 25,
    fault: "No server runs at due times",
    promise:
      "What becomes of each is on record: `--catch-up latest` makes up for the newest, `all` for all, `none` for none.",
    shownBy: scheduler(
      "a server that was stopped over three due times makes up for the newest, and says of the others that they were missed",
      "a server that was stopped over three due times misses all three with --catch-up none",
      "a server that was stopped over three due times makes up for all three with --catch-up all, one after the other",
      "a server that was stopped over three due times fires nothing twice when it is stopped again at once",
    ),
  },
  {
    number: 26,
    fault: "A cronjob is due while its last job runs",
    promise:
      "It is skipped, which is told; or it runs beside it, or takes its place, as `--concurrency` says.",
    shownBy: scheduler(
      "while the job before is unfinished a due time is skipped, and says for which job",
      "while the job before is unfinished another one starts beside it with --concurrency allow",
      "while the job before is unfinished it is cancelled with --concurrency replace, and the new one starts when it has ended",
    ),
  },
  {
    number: 27,
    fault: "A service is replaced under load",
    promise:
      "No request fails that ends within the 30 seconds that the old version has to finish; streams end in good order after that.",
    shownBy: [
      ...testsOf("tests/stories/load.test.ts")(
        "… redeployments under load: no short request fails, no slow one, and streams end in good order or go on",
        "the load sees a service that is stopped before its successor is ready",
      ),
      ...rollOut(
        "8 roll-outs under load of 20,000 requests drop none",
        "the guard matters: without draining, the same roll-outs drop some",
      ),
    ],
  },
  {
    number: 28,
    fault: "Clients abort, or do not read",
    promise: "They harm nobody else, and memory does not grow.",
    shownBy: [
      ...forwarding(
        "clients that go away take their requests with them, and harm nobody else",
        "a client that does not read stops the service from sending, and loses nothing",
      ),
      ...ingress(
        "100 MB up and down again take it no more than 100 MB of memory, also when nobody reads for a while",
      ),
    ],
  },
  {
    number: 29,
    fault: "A service closes an idle connection as a request comes",
    promise: "The request is not lost; one that may not be repeated is never repeated.",
    shownBy: idle(
      "a replica that closes idle connections at any moment costs no request, whether it may be repeated or not",
      "the guard matters: the naive way loses requests of both kinds to the same replica",
    ),
  },
  {
    number: 30,
    fault: "The server may open no more files or processes",
    promise: "A deployment fails and says so; the server lives on, and services go on.",
    shownBy: damage(
      "a server that may open hardly any files: it lives on, deployments fail in words or are done, services never notice",
    ),
  },
  {
    number: 31,
    fault: "Signals and a closed terminal",
    promise:
      "Ctrl-C cancels the deployment and puts back what it changed. A command that is killed leaves the run to go on. A server that is stopped leaves services running.",
    shownBy: [
      ...failures(
        "Ctrl-C cancels: the stage ends, the services stay as they were, and the exit code is not 0",
        "a command that is killed leaves the run to go on to its end",
      ),
      ...server("a server ends by SIGTERM as by the command"),
      ...stories(
        "a stopped server leaves everything answering; `get` tells the truth without it; the next one takes it up",
      ),
    ],
  },
  {
    number: 32,
    fault: "The machine is restarted",
    promise:
      "The next server starts every service again, at the same address; `bodywork server install` makes the machine start it.",
    shownBy: [
      ...services("what went with its machine is started at once by the next server, and has not crashed"),
      ...ingress("after the machine was off, the services are routed as before"),
      ...testsOf("tests/http/server-machine.test.ts")(
        "the unit starts the server with the machine, starts it again, and leaves its services alone",
      ),
    ],
  },
  {
    number: 33,
    fault: "Who follows a run or a log does not keep up",
    promise:
      "Logs are read no faster than they are taken, and come whole; of other output the oldest is left out for that follower, with a mark in its place. No event is left out.",
    shownBy: [
      ...testsOf("tests/operations/run-feed.test.ts")(
        "one that does not keep up loses the oldest text of what is in no log, with a mark in its place, and no event",
        "a log is read no faster than its follower takes it, and comes whole",
      ),
      ...testsOf("tests/http/streams.test.ts")(
        "a follower who leaves is left, and one who does not read holds nothing up but himself, and not for long",
      ),
    ],
  },
];

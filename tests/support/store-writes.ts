import type { Store } from "../../src/ports/store.ts";
import { aCronjob, aDeployment, aJob, aRelease, aRun, aSecret, aStage } from "../store/records.ts";

/** One of each kind of thing that is acknowledged, by a number that is used once. */
export interface StoreWrite {
  write(store: Store, number: number): void;
  /** True when it is there as it was written. */
  isThere(store: Store, number: number): boolean;
}

const at = new Date("2026-11-25T08:00:00Z");
const day = (number: number): string => new Date(number * 86_400_000).toISOString();
const sealedOf = (number: number): Uint8Array => new TextEncoder().encode(`sealed ${number} `.repeat(40));

export const storeWrites: Readonly<Record<string, StoreWrite>> = {
  run: {
    write: (store, number) =>
      store.saveRun(aRun(String(number), { status: "running", stages: [aStage("train")] }), {
        event: { kind: "run", status: "running" },
        at,
      }),
    isThere: (store, number) => store.events(String(number), 0)[0]?.kind === "run",
  },
  end: {
    write: (store, number) =>
      store.saveRun(aRun(String(number), { stages: [{ ...aStage("train"), status: "succeeded" }] }), {
        event: { kind: "run", status: "succeeded" },
        at,
      }),
    isThere: (store, number) => store.run(String(number))?.stages[0]?.status === "succeeded",
  },
  release: {
    write: (store, number) => store.saveRelease(aRelease(number), aDeployment(number)),
    isThere: (store, number) =>
      store.release("ml", "iris", number) !== undefined &&
      (store.deployment("ml", "iris")?.liveRelease ?? 0) >= number,
  },
  job: {
    write: (store, number) => {
      store.addJob(aJob(`async-workflow-${number}`));
    },
    isThere: (store, number) => store.job(`async-workflow-${number}`) !== undefined,
  },
  "due time": {
    write: (store, number) => {
      const jobs = [aJob(`x-${number}`, { cronjob: "x", dueAt: day(number) })];
      store.decideDueTimes([{ cronjob: aCronjob("x", { decidedUntil: day(number) }), jobs }]);
    },
    isThere: (store, number) =>
      store.job(`x-${number}`) !== undefined && (store.cronjob("x")?.decidedUntil ?? "") >= day(number),
  },
  secret: {
    write: (store, number) => store.saveSecret(aSecret("prod", "db", number, { sealed: sealedOf(number) })),
    isThere: (store, number) => {
      const sealed = store.sealedSecret("prod", "db", number)?.sealed;
      return sealed !== undefined && Buffer.compare(sealed, sealedOf(number)) === 0;
    },
  },
  token: {
    write: (store, number) => {
      const [createdAt, id] = [day(0), String(number)];
      const rest = { scopes: ["read"], expiresAt: undefined, lastUsedAt: undefined } as const;
      store.saveToken({ id, name: "ci", createdAt, ...rest }, `hash ${number}`);
    },
    isThere: (store, number) => store.tokenOfHash(`hash ${number}`)?.id === String(number),
  },
  "audit entry": {
    write: (store, number) =>
      store.addAuditEntry({ at: day(number), who: "w", from: "f", what: "a", on: "o", result: "done" }),
    isThere: (store, number) => store.auditEntries(10_000).some((entry) => entry.at === day(number)),
  },
  removal: {
    write: (store, number) => {
      store.saveDocument("removed", String(number), { number });
      store.removeDocument("removed", String(number));
    },
    isThere: (store, number) => store.document("removed", String(number)) === undefined,
  },
  document: {
    write: (store, number) => store.saveDocument("kept", String(number), { text: "x".repeat(6_000) }),
    isThere: (store, number) => store.document("kept", String(number)) !== undefined,
  },
};

/** What should have been written together and was not, one line each. */
export function halfWrites(store: Store): readonly string[] {
  const halfRuns = store.runs({}).filter(({ id, stages, status }) => {
    const told = store.events(id, 0).map((event) => (event.kind === "run" ? event.status : undefined));
    return stages.length !== 1 || told.at(-1) !== status;
  });
  const newest = store.releases("ml", "iris")[0]?.number;
  const live = store.deployment("ml", "iris")?.liveRelease;
  const decided = store.cronjob("x")?.decidedUntil;
  const newestJob = store.jobs({ cronjob: "x", limit: 1 })[0]?.dueAt;
  const secrets = store.sealedSecrets().filter(({ current }) => current);
  return [
    ...halfRuns.map(({ id, status }) => `run ${id} is ${status}, and its stages or events are not`),
    ...(newest === live ? [] : [`release ${newest} is the newest, and ${live} is live`]),
    ...(decided === newestJob ? [] : [`decided until ${decided}, and the newest job is of ${newestJob}`]),
    ...(secrets.length <= 1 ? [] : [`${secrets.length} versions of a secret are current`]),
  ];
}

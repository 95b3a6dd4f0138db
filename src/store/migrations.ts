/** The schema, step by step; the store's version is the number of steps done. Never change a step that was released. */
export const migrations: readonly string[] = [
  `CREATE TABLE runs (id TEXT PRIMARY KEY, namespace TEXT, deployment TEXT, finished INTEGER NOT NULL, document TEXT NOT NULL) STRICT;
   CREATE INDEX runs_by_deployment ON runs (deployment, id);
   CREATE TABLE stages (run TEXT NOT NULL, position INTEGER NOT NULL, document TEXT NOT NULL, PRIMARY KEY (run, position)) STRICT, WITHOUT ROWID;
   CREATE INDEX runs_unfinished ON runs (id) WHERE finished = 0;
   CREATE TABLE events (run TEXT NOT NULL, seq INTEGER NOT NULL, document TEXT NOT NULL, PRIMARY KEY (run, seq)) STRICT, WITHOUT ROWID;
   CREATE TABLE deployments (namespace TEXT NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (namespace, name)) STRICT;
   CREATE TABLE releases (namespace TEXT NOT NULL, deployment TEXT NOT NULL, number INTEGER NOT NULL, document TEXT NOT NULL,
     PRIMARY KEY (namespace, deployment, number)) STRICT;
   CREATE TABLE services (namespace TEXT NOT NULL, stage TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (namespace, stage)) STRICT;
   CREATE TABLE documents (collection TEXT NOT NULL, key TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (collection, key)) STRICT`,
  `CREATE TABLE cronjobs (name TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;
   CREATE TABLE jobs (id TEXT PRIMARY KEY, cronjob TEXT, due_at INTEGER NOT NULL, finished INTEGER NOT NULL, document TEXT NOT NULL) STRICT;
   CREATE INDEX jobs_by_cronjob ON jobs (cronjob, due_at);
   CREATE INDEX jobs_by_due_time ON jobs (due_at);
   CREATE INDEX jobs_unfinished ON jobs (due_at) WHERE finished = 0;
   CREATE TABLE secrets (group_name TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, current INTEGER NOT NULL,
     key_id TEXT NOT NULL, sealed BLOB NOT NULL, document TEXT NOT NULL, PRIMARY KEY (group_name, name, version)) STRICT;
   CREATE UNIQUE INDEX secrets_current ON secrets (group_name, name) WHERE current = 1;
   CREATE TABLE tokens (id TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, document TEXT NOT NULL) STRICT;
   CREATE TABLE audit (number INTEGER PRIMARY KEY, refused INTEGER NOT NULL, document TEXT NOT NULL) STRICT;
   CREATE INDEX audit_by_kind ON audit (refused, number)`,
];

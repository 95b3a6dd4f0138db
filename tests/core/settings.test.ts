import { expect, test } from "vitest";
import { parseSettings } from "../../src/core/settings.ts";

const clusterDefaults = {
  image: "bodyworkml/bodywork:4.0.0",
  image_check: true,
  docker_hub: "https://hub.docker.com",
  image_pull_policy: "auto",
  routes: "auto",
  environment_cache: "none",
  claims: { size: "10Gi" },
  variables: {},
  start_timeout_seconds: 300,
  drain_seconds: 10,
  kept_commits: 5,
};

test("no settings are all defaults", () => {
  for (const text of ["", "\n# nothing\n", "git:\n  fetch_timeout_seconds: 600\n"]) {
    expect(parseSettings(text, "settings.yaml")).toEqual({
      insecure_git_hosts: [],
      max_parallel_runs: 8,
      jobs: { retry_delay_seconds: 10 },
      secrets: {},
      api: { hosts: [], insecure: false },
      kubernetes: clusterDefaults,
      git: { fetch_timeout_seconds: 600, max_repository_mb: 4096 },
    });
  }
});

test("what is said is used", () => {
  const text = [
    "engine: local",
    "listen: 0.0.0.0:9000",
    "insecure_git_hosts: [git.internal]",
    "max_parallel_stages: 2",
    "max_parallel_runs: 3",
    "git: {max_repository_mb: 10}",
    "jobs: {retry_delay_seconds: 0.5}",
    "secrets: {key_command: [pass, show, bodywork]}",
    "kubernetes: {routes: gateway, storage: {claim: models}}",
    "api: {listen: '[::]:8443', tls_cert: cert.pem, tls_key: key.pem, hosts: [ml.example]}",
  ].join("\n");
  expect(parseSettings(text, "settings.yaml")).toEqual({
    engine: "local",
    listen: "0.0.0.0:9000",
    insecure_git_hosts: ["git.internal"],
    max_parallel_stages: 2,
    max_parallel_runs: 3,
    jobs: { retry_delay_seconds: 0.5 },
    secrets: { key_command: ["pass", "show", "bodywork"] },
    api: {
      listen: "[::]:8443",
      tls_cert: "cert.pem",
      tls_key: "key.pem",
      hosts: ["ml.example"],
      insecure: false,
    },
    kubernetes: { ...clusterDefaults, routes: "gateway", storage: { claim: "models" } },
    git: { fetch_timeout_seconds: 600, max_repository_mb: 10 },
  });
});

const wrong: readonly (readonly [text: string, detail: string])[] = [
  ["engin: local", "engin"],
  ["engine: docker", "engine: "],
  ["listen: 8080", "listen: "],
  ["listen: localhost", "listen: must be HOST:PORT"],
  ["max_parallel_stages: 0", "max_parallel_stages: "],
  ["max_parallel_runs: 0", "max_parallel_runs: "],
  ["git: {fetch_timeout_seconds: -1}", "git.fetch_timeout_seconds: "],
  ["jobs: {retry_delay_seconds: -1}", "jobs.retry_delay_seconds: "],
  ["secrets: {key_command: []}", "secrets.key_command: "],
  ["api: {tls_cert: cert.pem}", "api: tls_cert and tls_key go together"],
  ["api: {listen: 8443}", "api.listen: "],
  ["kubernetes: {gateway: public}", "kubernetes.gateway: must be NAMESPACE/NAME"],
  [
    "kubernetes: {storage: {s3: {bucket: b, secret: keys}}}",
    "kubernetes.storage.s3.secret: must be GROUP/NAME",
  ],
  ["- a list", "(the file): "],
  ["just text", "(the file): "],
];

test.each(wrong)("%s is refused, with the key", (text, detail) => {
  expect(() => parseSettings(text, "home/settings.yaml")).toThrow(
    expect.objectContaining({
      code: "usage",
      message: "Cannot use the settings home/settings.yaml.",
      details: [expect.stringContaining(detail)],
    }),
  );
});

test("the keys that there are are named", () => {
  expect(() => parseSettings("engin: local", "s")).toThrow(
    expect.objectContaining({
      hint: expect.stringMatching(
        /^Keys: engine, listen, insecure_git_hosts, .*, api\.listen, .*, kubernetes\.context, .*, git\.max_repository_mb\.$/,
      ),
    }),
  );
});

test("all that is wrong is said at once", () => {
  expect(() => parseSettings("engine: docker\nlisten: x\n", "s")).toThrow(
    expect.objectContaining({
      details: [expect.stringContaining("engine"), expect.stringContaining("listen")],
    }),
  );
});

test("what is no YAML is refused with its place, and an alias bomb does not blow up", () => {
  expect(() => parseSettings("engine: [local", "s")).toThrow(
    expect.objectContaining({
      code: "usage",
      message: expect.stringContaining("Cannot read the settings s"),
    }),
  );
  const bomb = [
    "a: &a [x, x]",
    ...["b", "c", "d", "e", "f", "g"].map((name, index) => {
      const before = "abcdef"[index];
      return `${name}: &${name} [${Array(9).fill(`*${before}`).join(", ")}]`;
    }),
  ].join("\n");
  expect(() => parseSettings(bomb, "s")).toThrow(expect.objectContaining({ code: "usage" }));
});

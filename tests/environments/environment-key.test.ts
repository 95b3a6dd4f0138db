import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { environmentKey } from "../../src/environments/environment-key.ts";
import { buildVariables, readPipSettings } from "../../src/environments/machine-settings.ts";
import { uvArguments } from "../../src/environments/uv-arguments.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { request } from "./support/machine.ts";

const interpreter = {
  executable: "/usr/bin/python3.11",
  version: "3.11.7",
  sitePackages: "lib/python3.11/site-packages",
};
type Pip = Parameters<typeof environmentKey>[2]["pip"];

function key(
  changes: Partial<ReturnType<typeof request>> = {},
  others: { python?: Partial<typeof interpreter>; pip?: Pip; variables?: Record<string, string> } = {},
): string {
  return environmentKey(
    { ...request(["b==1", "a==1"]), ...changes },
    { ...interpreter, ...others.python },
    { pip: others.pip ?? [], variables: others.variables ?? {} },
  );
}

test("whatever decides what is installed makes another environment", () => {
  const keys = [
    key(),
    key({ requirements: ["a==1"] }),
    key({ requirements: ["a==1", "b==2"] }),
    key({ requirements: ["a==1", "b==1", "--pre"] }),
    key({ requirementsFile: "" }),
    key({ requirementsFile: "a==1\n" }),
    key({ notebook: true }),
    key({}, { python: { version: "3.11.8" } }),
    key({}, { python: { executable: "/opt/python3.11" } }),
    key({}, { pip: [{ name: "index-url", value: "https://one/" }] }),
    key({}, { pip: [{ name: "no-index", value: undefined }] }),
    key({}, { variables: { UV_DEFAULT_INDEX: "https://one/" } }),
    key({}, { variables: { UV_EXCLUDE_NEWER: "2026-01-01" } }),
  ];
  expect(new Set(keys).size).toBe(keys.length);
  expect(key()).toMatch(/^[0-9a-f]{64}$/);
});

test("what decides nothing makes none: order, spaces, line ends, the stage's own Python wish, passwords, proxies", () => {
  const same = [
    key({ requirements: ["a==1", " b==1 ", ""] }),
    key({ python: "3.11" }),
    key({}, { variables: { HTTPS_PROXY: "http://proxy", UV_CACHE_DIR: "/x", HOME: "/y" } }),
    key(
      {},
      {
        pip: [
          { name: "proxy", value: "http://proxy" },
          { name: "cert", value: "/ca.pem" },
        ],
      },
    ),
  ];
  expect(new Set([key(), ...same]).size).toBe(1);
  expect(key({ requirementsFile: "a\r\nb\r\n" })).toBe(key({ requirementsFile: "a\nb\n" }));
  const index = (url: string) => key({}, { pip: [{ name: "index-url", value: url }] });
  expect(index("https://me:old@one/")).toBe(index("https://me:new@one/"));
  const git = (token: string) => key({ requirements: [`git+https://${token}@host/x`] });
  expect(git("old")).toBe(git("new"));
});

test("what a file of constraints says decides too", () => {
  const file = join(temporaryFolder(), "constraints.txt");
  const constrained = () => key({}, { pip: [{ name: "constraint", value: file }] });
  writeFileSync(file, "a<2\n");
  const before = constrained();
  writeFileSync(file, "a<3\n");
  expect(constrained()).not.toBe(before);
});

test("the order of what follows an option counts, for it may mean something", () => {
  const options = ["--index-url https://one/", "--index-url https://two/"];
  expect(key({ requirements: options })).not.toBe(key({ requirements: options.toReversed() }));
});

test("pip's settings are read from its files and variables, the later over the earlier", () => {
  const folder = temporaryFolder();
  const file = join(folder, "pip.conf");
  writeFileSync(
    file,
    `# a comment
[global]
index-url = https://global/
timeout = 60
extra_index_url =
    https://one/
    https://two/
trusted-host: a b
[install]
index-url = https://install/
no-binary=:none:
pre = yes
require-hashes = false
[list]
index-url = https://not-this/
`,
  );
  const read = (more: Record<string, string> = {}) =>
    readPipSettings({ HOME: folder, PIP_CONFIG_FILE: file, ...more }).filter(({ name }) => name !== "cert");
  expect(read()).toEqual([
    { name: "index-url", value: "https://install/" },
    { name: "extra-index-url", value: "https://one/" },
    { name: "extra-index-url", value: "https://two/" },
    { name: "trusted-host", value: "a" },
    { name: "trusted-host", value: "b" },
    { name: "no-binary", value: ":none:" },
    { name: "pre", value: undefined },
  ]);
  expect(read({ PIP_INDEX_URL: "https://variable/" })[0]?.value).toBe("https://variable/");
  expect(readPipSettings({ HOME: folder, PIP_CONFIG_FILE: "/dev/null" })).toEqual([]);
});

test("uv is told pip's settings in its own words, and what may hold a password never by arguments", () => {
  const settings = readPipSettings({
    HOME: temporaryFolder(),
    PIP_CONFIG_FILE: "/dev/null",
    PIP_INDEX_URL: "https://me:word@one/",
    PIP_EXTRA_INDEX_URL: "https://two/ https://three/",
    PIP_TRUSTED_HOST: "two",
    PIP_CERT: "/etc/hostname",
    PIP_CLIENT_CERT: "/client.pem",
    PIP_PROXY: "http://proxy",
    PIP_NO_INDEX: "true",
  });
  const { args, env, unknown } = uvArguments(
    settings,
    [{ name: "extra-index-url", value: "https://four/" }],
    {},
  );
  expect(args).toEqual(["--no-index"]);
  expect(unknown).toEqual([]);
  expect(env).toEqual({
    UV_DEFAULT_INDEX: "https://me:word@one/",
    UV_INDEX: "https://two/ https://three/ https://four/",
    UV_INSECURE_HOST: "two",
    SSL_CERT_FILE: "/etc/hostname",
    SSL_CLIENT_CERT: "/client.pem",
    HTTPS_PROXY: "http://proxy",
    HTTP_PROXY: "http://proxy",
    UV_INDEX_STRATEGY: "unsafe-first-match",
    GIT_TERMINAL_PROMPT: "0",
  });
});

test("uv's own settings win over pip's, a stage's options over both, and what uv has no word for is named", () => {
  const pip = [{ name: "index-url", value: "https://pip/" }];
  const variables = { UV_DEFAULT_INDEX: "https://uv/" };
  expect(uvArguments(pip, [], variables).env.UV_DEFAULT_INDEX).toBe("https://uv/");
  const asked = [{ name: "index-url", value: "https://stage/" }];
  expect(uvArguments(pip, asked, variables).env.UV_DEFAULT_INDEX).toBe("https://stage/");
  const strange = { name: "global-option", value: "x" };
  expect(uvArguments([], [strange, { name: "upgrade", value: undefined }], {}).unknown).toEqual([strange]);
  const gone = [{ name: "find-links", value: "/no/such/folder" }];
  expect(uvArguments(gone, [], {}).env.UV_FIND_LINKS).toBeUndefined();
});

test("of the machine's variables a build gets what installers need, and no setting that would install elsewhere", () => {
  const needed = {
    PATH: "/bin",
    HOME: "/h",
    LC_ALL: "C",
    https_proxy: "p",
    PIP_INDEX_URL: "u",
    UV_INDEX: "v",
    CC: "gcc",
  };
  const others = {
    AWS_SECRET_ACCESS_KEY: "s",
    TOKEN: "t",
    PIP_TARGET: "/x",
    PIP_USER: "1",
    UV_PROJECT: "y",
    PYTHONPATH: "z",
  };
  expect(buildVariables({ ...needed, ...others })).toEqual(needed);
});

import { expect, test } from "vitest";
import {
  gitMachineVariables,
  installerMachineVariables,
  stageMachineVariables,
} from "../../src/core/machine-environment.ts";

/** A CI job's environment: what stages may see, and what they must not. */
const environment = {
  PATH: "/usr/bin",
  HOME: "/home/me",
  LC_ALL: "C.UTF-8",
  HTTPS_PROXY: "http://proxy.test",
  SSL_CERT_FILE: "/certificates.pem",
  SSH_AUTH_SOCK: "/agent",
  PIP_INDEX_URL: "https://user:token@index.test",
  UV_CACHE_DIR: "/cache",
  GITHUB_TOKEN: "canary",
  BODYWORK_GIT_SSH_PRIVATE_KEY: "canary",
  BODYWORK_HOME: "/home/me/.bodywork",
  AWS_SECRET_ACCESS_KEY: "canary",
  PYTHONPATH: "/elsewhere",
  LD_PRELOAD: "/evil.so",
  TZ: undefined,
};

test("stages get what the machine must give, by name, and none of the user's own variables", () => {
  expect(stageMachineVariables(environment)).toEqual({
    PATH: "/usr/bin",
    HOME: "/home/me",
    LC_ALL: "C.UTF-8",
    HTTPS_PROXY: "http://proxy.test",
    SSL_CERT_FILE: "/certificates.pem",
  });
});

test("git gets the ssh agent too", () => {
  const extra = Object.keys(gitMachineVariables(environment)).filter(
    (name) => !(name in stageMachineVariables(environment)),
  );
  expect(extra).toEqual(["SSH_AUTH_SOCK"]);
});

test("installers get their own settings too", () => {
  const extra = Object.keys(installerMachineVariables(environment)).filter(
    (name) => !(name in gitMachineVariables(environment)),
  );
  expect(extra).toEqual(["PIP_INDEX_URL", "UV_CACHE_DIR"]);
});

test("no variable that bears a secret of the job is handed on to anybody", () => {
  for (const handedOn of [stageMachineVariables, gitMachineVariables, installerMachineVariables]) {
    expect(JSON.stringify(handedOn(environment))).not.toContain("canary");
  }
});

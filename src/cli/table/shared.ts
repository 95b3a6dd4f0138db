import type { ArgumentSpec, OptionSpec } from "../command-spec.ts";

export const output: OptionSpec = {
  kind: "value",
  name: "output",
  value: "FORMAT",
  choices: ["table", "json", "yaml"],
  default: "table",
  summary: "Form of the result on standard output",
};

export const timeout: OptionSpec = {
  kind: "value",
  name: "timeout",
  value: "SECONDS",
  type: "seconds",
  summary: "Give up when it takes longer",
};

export const yes: OptionSpec = { kind: "flag", name: "yes", summary: "Do not ask" };

export const listen: OptionSpec = {
  kind: "value",
  name: "listen",
  value: "HOST:PORT",
  type: "address",
  summary: "Public address of the ingress (127.0.0.1:8080 at first)",
};

export const group: OptionSpec = {
  kind: "value",
  name: "group",
  aliases: ["secrets-group"],
  value: "GROUP",
  summary: "Secrets group to use; pipeline.secrets_group, else the pipeline's name, if left out",
};

export const acceptHostKey: OptionSpec = {
  kind: "value",
  name: "accept-host-key",
  value: "FINGERPRINT",
  summary: "Trust the ssh host whose key has this fingerprint (SHA256:…)",
};

export const gitUrl: ArgumentSpec = {
  name: "GIT_URL",
  required: true,
  summary: "https, ssh, scp-like or file URL of the repository",
};

/** What every command takes, before its words and after them. */
export const globalOptions: readonly OptionSpec[] = [
  {
    kind: "value",
    name: "server",
    value: "URL",
    type: "nonempty",
    summary: "Act on the server at this address; BODYWORK_SERVER if left out",
  },
  {
    kind: "value",
    name: "token",
    value: "TOKEN",
    type: "nonempty",
    summary: "Access token for that server; BODYWORK_TOKEN if left out",
  },
  {
    kind: "value",
    name: "engine",
    value: "ENGINE",
    choices: ["local", "kubernetes"],
    summary: "Where stages run; BODYWORK_ENGINE if left out, else what is found",
  },
  { kind: "flag", name: "quiet", summary: "Say only what is wrong, and the result" },
];

/** What many commands take after their words; those take them before too. */
export const commonOptions: readonly OptionSpec[] = [output, timeout, yes];

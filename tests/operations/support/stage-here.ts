/** A program that runs one stage here, as `bodywork stage` does: `REQUEST MACHINE` as JSON. */

import { join } from "node:path";
import { asFailure } from "../../../src/core/failure.ts";
import { createUvEnvironments } from "../../../src/environments/uv-environments.ts";
import { createGitSource } from "../../../src/git/git-source.ts";
import { runStageHere, type StageHereRequest } from "../../../src/operations/run-stage-here.ts";

const [requestText = "", home = ""] = process.argv.slice(2);
const request: StageHereRequest = JSON.parse(requestText);
const environment = { PATH: process.env.PATH ?? "", HOME: home };
const variables = Object.fromEntries(
  Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
);
const cancel = new AbortController();
process.on("SIGTERM", () => cancel.abort());
try {
  await runStageHere(
    request,
    {
      source: createGitSource({
        folder: join(home, "git"),
        environment,
        insecureHosts: [],
        fetchTimeoutSeconds: 60,
        maxRepositoryMb: 64,
      }),
      environments: createUvEnvironments({
        folder: join(home, "environments"),
        toolsFolder: join(home, "tools"),
        environment: { ...environment, UV_PYTHON_DOWNLOADS: "never", ...indexVariables() },
        startupPth: "",
      }),
      variables,
      notebookRunner: join(import.meta.dirname, "../../../src/engines/local/run_notebook.py"),
    },
    {
      log: (level, text) => process.stdout.write(`${level} ${text}\n`),
      output: (text) => process.stdout.write(text),
    },
    cancel.signal,
  );
} catch (error) {
  const { code, message, details } = asFailure(error);
  process.stdout.write(`${[`${code}: ${message}`, ...details].join("\n")}\n`);
  process.exitCode = 1;
}

function indexVariables(): Record<string, string> {
  const { PIP_FIND_LINKS } = process.env;
  return PIP_FIND_LINKS === undefined ? {} : { PIP_FIND_LINKS, PIP_NO_INDEX: "1" };
}

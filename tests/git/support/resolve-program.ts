/** A program that resolves one repository and prints the commit: `URL FOLDER HOME HOST`. Tests kill it. */

import { createGitSource } from "../../../src/git/git-source.ts";

const [url = "", folder = "", home = "", host = "", sshKey] = process.argv.slice(2);
const source = createGitSource({
  folder,
  environment: { PATH: process.env.PATH ?? "", HOME: home },
  insecureHosts: [host],
  fetchTimeoutSeconds: 60,
  maxRepositoryMb: 512,
});
const commit = await source.resolve({ url, ref: undefined, sshKey }, new AbortController().signal);
process.stdout.write(JSON.stringify(commit));

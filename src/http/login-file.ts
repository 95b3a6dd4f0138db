import { readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";

import { z } from "zod";

import { Failure } from "../core/failure.ts";
import { writeFileAtomic } from "../lib/files.ts";
import { hasCode } from "../lib/has-code.ts";
import type { Logins } from "../operations/server-admin.ts";
import { createClient } from "./client.ts";
import { prepareHome } from "./prepare-home.ts";
import { parseServerUrl } from "./server-url.ts";

const loginSchema = z.object({
  /** As of `parseServerUrl`. */
  url: z.string(),
  token: z.string(),
  /** Certificates in PEM. */
  ca: z.string().optional(),
  insecureHttp: z.boolean(),
});

/** What `bodywork login` keeps, in a file that only the user can read. */
export type Login = z.infer<typeof loginSchema>;

export function createLogins({ home, version }: { readonly home: string; readonly version: string }): Logins {
  return {
    async login({ url: given, token, caFile, insecureHttp }) {
      const url = parseServerUrl(given, { insecureHttp });
      const ca = caFile === undefined ? undefined : readCertificates(caFile);
      const address = { url, token: token.reveal(), ca, insecureHttp };
      const client = createClient({ api: url, token: address.token, ca, insecureHttp, version });
      const status = await client.status();
      prepareHome(home);
      writeFileAtomic(fileOf(home), JSON.stringify(address));
      return { url, version: status.version };
    },
    async logout() {
      // Also one that can't be read is to go.
      const url = readAddress(home);
      rmSync(fileOf(home), { force: true });
      return url;
    },
  };
}

/**
 * Undefined when nobody has logged in. Fails: home-unsafe (others may read the token), usage (the file is not whole): a
 * command must not go to this machine because it can't see that it is meant for another.
 */
export function readLogin(home: string): Login | undefined {
  const file = fileOf(home);
  const text = readPrivate(file);
  if (text === undefined) return undefined;
  try {
    return loginSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new Failure("usage", `The login in ${file} is not whole.`, {
      hint: "Log in again: bodywork login URL, or remove it: bodywork logout",
      cause: error,
    });
  }
}

/** Certificates in PEM. Fails: usage. */
export function readCertificates(file: string): string {
  const why = (error: unknown): string => (error instanceof Error ? error.message : String(error));
  try {
    const text = readFileSync(file, "utf8");
    if (text.includes("-----BEGIN CERTIFICATE-----")) return text;
  } catch (error) {
    throw new Failure("usage", `Cannot read the certificates ${file}: ${why(error)}`, { cause: error });
  }
  throw new Failure("usage", `There is no certificate in ${file}.`, { hint: "It must be in PEM." });
}

function readPrivate(file: string): string | undefined {
  try {
    const { mode, uid } = statSync(file);
    if (process.getuid !== undefined && uid !== process.getuid()) {
      throw new Failure("home-unsafe", `The login in ${file} belongs to another user.`, {
        hint: "It may lead to another's server. Remove it, and log in again.",
      });
    }
    if ((mode & 0o077) !== 0) {
      throw new Failure("home-unsafe", `Other users may read the token in ${file}.`, {
        hint: `chmod 600 '${file}', and make a new token if they may have.`,
      });
    }
    return readFileSync(file, "utf8");
  } catch (error) {
    if (hasCode(error, "ENOENT") || hasCode(error, "ENOTDIR")) return undefined;
    throw error;
  }
}

function readAddress(home: string): string | undefined {
  try {
    return readLogin(home)?.url;
  } catch {
    return fileOf(home);
  }
}

function fileOf(home: string): string {
  return join(home, "login.json");
}

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { textIfThere } from "../lib/read-if-there.ts";
import { redact } from "./redact.ts";

/**
 * The exact packages of an environment, as `pip freeze` prints them, sorted, from what every installer records beside a
 * package (PEP 376, PEP 610). Starts no process.
 */
export function readLock(sitePackages: string): string {
  const lines = readdirSync(sitePackages)
    .filter((name) => name.endsWith(".dist-info"))
    .flatMap((name) => lockLine(join(sitePackages, name)));
  return lines.sort().join("\n");
}

function lockLine(distInfo: string): readonly string[] {
  const metadata = (textIfThere(join(distInfo, "METADATA")) ?? "").split(/\r?\n\r?\n/, 1)[0] ?? "";
  const name = /^Name:\s*(\S+)/im
    .exec(metadata)?.[1]
    ?.toLowerCase()
    .replace(/[-_.]+/g, "-");
  const version = /^Version:\s*(\S+)/im.exec(metadata)?.[1];
  // pip is only there when it built the environment.
  if (name === undefined || version === undefined || name === "pip") return [];
  const origin = originOf(textIfThere(join(distInfo, "direct_url.json")) ?? "");
  return [origin === undefined ? `${name}==${version}` : `${name} @ ${redact(origin)}`];
}

interface DirectUrl {
  readonly url?: string;
  readonly vcs_info?: { readonly vcs: string; readonly commit_id: string };
}

function originOf(text: string): string | undefined {
  if (text === "") return undefined;
  const { url, vcs_info } = JSON.parse(text) as DirectUrl;
  return vcs_info === undefined ? url : `${vcs_info.vcs}+${url}@${vcs_info.commit_id}`;
}

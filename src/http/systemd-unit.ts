/** The unit by which systemd keeps a server running. Pure; the rules of quoting are those of systemd.syntax(7). */

export interface UnitParts {
  readonly scope: "user" | "system";
  /** Program and arguments that are `bodywork server run`. */
  readonly command: readonly string[];
  readonly home: string;
  /** Where git, uv and Python are found. */
  readonly path: string;
  /** Numeric id of the user whom the home folder belongs to. */
  readonly user: number;
}

export const unitName = "bodywork.service";

/**
 * `KillMode=process`, for services and the ingress outlive the server; `OOMPolicy=continue`, for a stage that needs too much
 * memory must not take the server with it; no limit of starts, for the server may have to wait for its address, or for
 * another that has its home folder.
 */
export function unitText({ scope, command, home, path, user }: UnitParts): string {
  return `# Written by: bodywork server install
[Unit]
Description=Bodywork server
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
${scope === "system" ? `User=${user}\n` : ""}Environment=${quoted(`BODYWORK_HOME=${home}`)}
Environment=${quoted(`PATH=${path}`)}
EnvironmentFile=-${escaped(`${home}/server.env`)}
ExecStart=${command.map((word) => quoted(word).replaceAll("$", "$$$$")).join(" ")}
Restart=always
RestartSec=5
KillMode=process
OOMPolicy=continue
TimeoutStopSec=60

[Install]
WantedBy=${scope === "system" ? "multi-user.target" : "default.target"}
`;
}

function quoted(text: string): string {
  return `"${escaped(text).replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

/** `%` begins a specifier. */
function escaped(text: string): string {
  return text.replaceAll("%", "%%");
}

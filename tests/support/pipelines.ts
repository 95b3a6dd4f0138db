import type { Files } from "./git-project.ts";

/** One stage of a generated project file: its keys as YAML values. */
export interface StageText {
  readonly module?: string;
  readonly lines: readonly string[];
}

/** A `bodywork.yaml`; what every stage must say and the test does not care about is filled in. */
export function projectFile(options: {
  readonly name: string;
  readonly dag: string;
  readonly stages: Readonly<Record<string, readonly string[]>>;
  readonly pipeline?: readonly string[];
}): string {
  const stages = Object.entries(options.stages).flatMap(([name, lines]) => [
    `  ${name}:`,
    ...(lines.some((line) => line.startsWith("executable_module_path:"))
      ? []
      : [`    executable_module_path: ${name}.py`]),
    "    cpu_request: 0.1",
    "    memory_request_mb: 50",
    ...lines.map((line) => `    ${line}`),
  ]);
  return [
    'version: "1.1"',
    "pipeline:",
    `  name: ${options.name}`,
    "  docker_image: python:3.11-slim",
    `  DAG: ${options.dag}`,
    ...(options.pipeline ?? []).map((line) => `  ${line}`),
    "stages:",
    ...stages,
    "logging:",
    "  log_level: INFO",
    "",
  ].join("\n");
}

export function batch(seconds = 60, retries = 0): readonly string[] {
  return [`batch: {max_completion_time_seconds: ${seconds}, retries: ${retries}}`];
}

export function service(port: number, more: { replicas?: number; ingress?: boolean; startup?: number } = {}) {
  const { replicas = 1, ingress = true, startup = 30 } = more;
  return [
    `service: {max_startup_time_seconds: ${startup}, replicas: ${replicas}, port: ${port}, ingress: ${ingress}}`,
  ];
}

/** A service without requirements that answers every request with `answer`. */
export function answering(answer: string, port = 5000): string {
  return `
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # Head and body in one packet: apart, they would wait for each other.

    def do_GET(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        body = ${JSON.stringify(answer)}.encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *args):
        pass

ThreadingHTTPServer(("0.0.0.0", ${port}), Handler).serve_forever()
`;
}

/** A pipeline of one batch stage and one service that answers with a version. */
export function trainAndServe(version: string, change: Files = {}): Files {
  return {
    "bodywork.yaml": projectFile({
      name: "story",
      dag: "train >> serve",
      stages: { train: batch(), serve: service(5000, { replicas: 2 }) },
    }),
    "train.py": `print("trained ${version}")\n`,
    "serve.py": answering(version),
    ...change,
  };
}

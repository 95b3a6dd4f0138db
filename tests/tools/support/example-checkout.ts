import { cpSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { writeFiles } from "../../support/git-project.ts";
import { batch, projectFile, service } from "../../support/pipelines.ts";

const root = join(import.meta.dirname, "..", "..", "..");

/** A copy of this checkout whose example needs no packages, so that it deploys in a second. */
export function makeExampleCheckout(folder: string): void {
  mkdirSync(join(folder, "node_modules"), { recursive: true });
  for (const name of ["src", "tools", "bodywork", "package.json", "package-lock.json"]) {
    cpSync(join(root, name), join(folder, name), { recursive: true });
  }
  for (const name of readdirSync(join(root, "node_modules"))) {
    const target = join(folder, "node_modules", name);
    // The stamps are rewritten; the packages are not.
    if (name.startsWith(".")) cpSync(join(root, "node_modules", name), target, { recursive: true });
    else symlinkSync(join(root, "node_modules", name), target);
  }
  writeFiles(join(folder, "examples", "iris"), {
    "bodywork.yaml": projectFile({
      name: "iris",
      dag: "train_model >> serve_model",
      stages: { train_model: batch(), serve_model: service(5000, { replicas: 1 }) },
    }),
    "train_model.py": 'print("trained on few flowers")\n',
    "serve_model.py": scoring("setosa"),
    ".venv/pyvenv.cfg": "left by work on the example\n",
  });
}

/** A service that takes any flower for `species`, and says what it was sent. */
export function scoring(species: string): string {
  return `
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        flower = json.loads(self.rfile.read(int(self.headers["content-length"])))
        body = json.dumps({"species": "${species}", "path": self.path, "flower": flower}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

ThreadingHTTPServer(("0.0.0.0", 5000), Handler).serve_forever()
`;
}

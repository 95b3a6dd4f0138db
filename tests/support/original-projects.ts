/**
 * The repositories that the original's integration tests deploy, written anew from what is known of them: names, stages,
 * resources, branches and behaviour are the same, the code is ours. What asked the internet asks `target`.
 */

import { join } from "node:path";
import { type Files, type GitProject, makeProject } from "./git-project.ts";
import { projectFile } from "./pipelines.ts";
import { temporaryFolder } from "./temporary.ts";

/** The original's own image, which names Python 3.9: whichever Python the machine has is used. */
const image = "bodyworkml/bodywork-core:latest";

/** `bodywork-test-project`: batch, a request to the world, two services of one step, a request by a service's name. */
export function testProject(target: string): Promise<GitProject> {
  return repository("bodywork-test-project", {
    "bodywork.yaml": original({
      name: "bodywork-test-project",
      dag: "stage_1 >> stage_2 >> stage_3, stage_4 >> stage_5",
      pipeline: ["secrets_group: testsecrets", "usage_stats: false"],
      stages: {
        stage_1: [...module("stage_one/main.py"), 'args: ["Hello", "World"]', ...batch(30, 2)],
        stage_2: [...module("stage_two/main.py"), "requirements: [requests]", ...batch(30, 2)],
        stage_3: [...module("stage_three/main.py"), "requirements: [flask]", ...service(5000, 2, true)],
        stage_4: [
          ...module("stage_four/main.py"),
          ...service(5000, 1, false),
          "secrets:",
          "  USERNAME: bodywork-test-project-credentials",
          "  PASSWORD: bodywork-test-project-credentials",
        ],
        stage_5: [...module("stage_five/main.py"), ...batch(30, 2)],
      },
    }),
    "stage_one/main.py": `
import sys
if len(sys.argv) < 3:
    sys.exit("two arguments are expected")
print(*sys.argv[1:])
`,
    "stage_two/main.py": `
import requests
requests.get("${target}", timeout=10).raise_for_status()
`,
    "stage_three/main.py": `
from flask import Flask

app = Flask(__name__)

@app.get("/v1/predict")
def predict():
    return {"y": "hello_world"}

app.run(host="0.0.0.0", port=5000)
`,
    "stage_four/main.py": `
import os, sys
if not (os.environ.get("USERNAME") and os.environ.get("PASSWORD")):
    sys.exit(1)
${serving("/v2/predict", 5000)}`,
    "stage_five/main.py": `
from urllib.request import urlopen
assert urlopen("http://stage-4:5000/v2/predict", timeout=10).status == 200
`,
  });
}

/** `test-single-service-project`: one service on `master`, two on the branch `test-two-services`. */
export async function singleServiceProject(): Promise<GitProject> {
  const name = "bodywork-test-single-service-project";
  const one = module("stage_1/main.py");
  const project = await repository("test-single-service-project", {
    "bodywork.yaml": original({
      name,
      dag: "stage_1",
      stages: { stage_1: [...one, ...service(5000, 2, true)] },
    }),
    "stage_1/main.py": serving("/v1/predict", 5000),
  });
  await project.git("checkout", "--quiet", "-b", "test-two-services");
  await project.commit({
    "bodywork.yaml": original({
      name,
      dag: "stage_1 >> stage_2",
      stages: {
        stage_1: [...one, ...service(5000, 2, true)],
        stage_2: [...module("stage_2/main.py"), ...service(6000, 2, true)],
      },
    }),
    "stage_2/main.py": serving("/v2/predict", 6000),
  });
  await project.git("checkout", "--quiet", "master");
  return project;
}

/** `bodywork-rollback-deployment-test-project`: its stage_2 starts only where stage_3 does not answer yet. */
export function rollbackProject(): Promise<GitProject> {
  return repository("bodywork-rollback-deployment-test-project", {
    "bodywork.yaml": original({
      name: "bodywork-rollback-deployment-test-project",
      dag: "stage_1 >> stage_2 >> stage_3",
      stages: {
        stage_1: [...module("stage_1.py"), ...batch(10, 1)],
        stage_2: [...module("stage_2.py"), ...service(5000, 1, true)],
        stage_3: [...module("stage_3.py"), ...service(5000, 1, true)],
      },
    }),
    "stage_1.py": "print('done')\n",
    "stage_2.py": `
import sys
from urllib.error import HTTPError, URLError
from urllib.request import urlopen
try:
    urlopen("http://stage-3:5000", timeout=10)
    sys.exit(1)
except HTTPError:
    sys.exit(1)
except URLError:
    pass
${serving("/", 5000)}`,
    "stage_3.py": serving("/", 5000),
  });
}

/**
 * `bodywork-failing-test-project`: a batch stage that fails, and a stage that runs on failure. With the original's numpy,
 * which no Python of today can have, the stage fails by that before it fails by its code.
 */
export function failingProject(numpy = "1.19.1"): Promise<GitProject> {
  return repository("bodywork-failing-test-project", {
    "bodywork.yaml": original({
      name: "bodywork-failing-test-project",
      dag: "stage_1",
      pipeline: ["run_on_failure: on_fail_stage"],
      stages: {
        stage_1: [...module("stage_1.py"), `requirements: [numpy==${numpy}]`, ...batch(60, 4)],
        on_fail_stage: [...module("on_fail_stage.py"), ...batch(60, 0)],
      },
    }),
    "stage_1.py": "print(sys.argv)\n",
    "on_fail_stage.py": "print('I have successfully been executed')\n",
  });
}

/** `test-bodywork-batch-job-project`, which is private. */
export function batchJobProject(): Promise<GitProject> {
  return repository("test-bodywork-batch-job-project", {
    "bodywork.yaml": original({
      name: "bodywork-test-batch-job-project",
      dag: "stage_1",
      stages: { stage_1: [...module("stage_1.py"), ...batch(30, 2)] },
    }),
    "stage_1.py": "print('done')\n",
  });
}

/** What the unit tests of the original's `stage` command run: a module with requirements, a notebook, and one that fails. */
export function stageProject(): Promise<GitProject> {
  const cell = { id: "a", cell_type: "code", source: "print('from a cell')", metadata: {}, outputs: [] };
  const notebook = {
    nbformat: 4,
    nbformat_minor: 5,
    metadata: {},
    cells: [{ ...cell, execution_count: null }],
  };
  return repository("stage-project", {
    "bodywork.yaml": original({
      name: "stage-project",
      dag: "stage_1 >> stage_2 >> stage_3",
      stages: {
        stage_1: [
          ...module("stage_1/main.py"),
          "requirements: [requests]",
          "args: [Hello World]",
          ...batch(60, 0),
        ],
        stage_2: [...module("stage_2/main.ipynb"), ...batch(60, 0)],
        stage_3: [...module("stage_3.py"), ...batch(60, 0)],
      },
    }),
    "stage_1/main.py": "import requests, sys\nprint(sys.argv[1])\n",
    "stage_2/main.ipynb": JSON.stringify(notebook),
    "stage_3.py": "raise SystemExit(3)\n",
  });
}

function repository(name: string, files: Files): Promise<GitProject> {
  return makeProject({ files, branch: "master", path: join(temporaryFolder("original"), name) });
}

function original(options: Parameters<typeof projectFile>[0]): string {
  return projectFile(options).replace(/^ {2}docker_image: .*$/m, `  docker_image: ${image}`);
}

function module(path: string): readonly string[] {
  return [`executable_module_path: ${path}`];
}

function batch(seconds: number, retries: number): readonly string[] {
  return ["batch:", `  max_completion_time_seconds: ${seconds}`, `  retries: ${retries}`];
}

function service(port: number, replicas: number, ingress: boolean): readonly string[] {
  return [
    "service:",
    "  max_startup_time_seconds: 60",
    `  replicas: ${replicas}`,
    `  port: ${port}`,
    `  ingress: ${ingress}`,
  ];
}

/** Python that answers 200 on one path, and 404 elsewhere. */
function serving(path: string, port: number): string {
  return `
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "${path}" else 404)
        self.send_header("content-length", "0")
        self.end_headers()

ThreadingHTTPServer(("0.0.0.0", ${port}), Handler).serve_forever()
`;
}

import { relative } from "node:path";
import type { Reporter, TestModule } from "vitest/node";
import { kubernetesTests } from "../cluster/tools/tests.ts";

/** Says in one line how many tests were left out for want of a cluster, and how to run them. */
export class SkippedForCluster implements Reporter {
  readonly #tell: (text: string) => void;

  constructor(tell = (text: string): void => void process.stdout.write(text)) {
    this.#tell = tell;
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const skipped = modules
      .filter((module) => needsCluster(relative(module.project.config.root, module.moduleId)))
      .flatMap((module) => [...module.children.allTests("skipped")]);
    if (skipped.length > 0) this.#tell(skippedLine(skipped.length));
  }
}

export function needsCluster(file: string): boolean {
  return kubernetesTests.some((test) => file.startsWith(test));
}

export function skippedLine(count: number): string {
  return `\n${count} ${count === 1 ? "test needs" : "tests need"} a Kubernetes cluster: npm run test:kubernetes\n`;
}

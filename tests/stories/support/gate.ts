import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../../support/temporary.ts";

/** Where a stage waits until the test lets it go on. */
export interface Gate {
  /** Lines of Python. */
  readonly wait: string;
  open(): void;
}

/** Call it inside a test. */
export function gate(): Gate {
  const file = join(temporaryFolder("gate"), "open");
  return {
    wait: `
import os, sys, time
sys.stdout.flush()
while not os.path.exists(${JSON.stringify(file)}): time.sleep(0.05)
`,
    open: () => writeFileSync(file, ""),
  };
}

import { cp, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { Failure } from "../core/failure.ts";

/** They lie in a folder of the package, be it `image/` of a checkout or `dist/` of what is installed. */
const dockerfile = fileURLToPath(new URL("../../image/Dockerfile", import.meta.url));
const program = fileURLToPath(new URL("../../image/bodywork.sh", import.meta.url));

/** What the Dockerfile takes of the package. */
const parts = ["package.json", "bin", "dist"];

/** Does the work with a folder that has what the image is built of, and nothing else; it is gone afterwards. */
export async function withBuildContext<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const root = dirname(dirname(dockerfile));
  await requireBuilt(root);
  const folder = await mkdtemp(join(tmpdir(), "bodywork-image-"));
  try {
    for (const part of parts) await cp(join(root, part), join(folder, part), { recursive: true });
    await cp(dockerfile, join(folder, "Dockerfile"));
    await cp(program, join(folder, "bodywork.sh"));
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A checkout runs without its build. */
async function requireBuilt(root: string): Promise<void> {
  const main = join(root, "dist", "main.js");
  const isBuilt = await stat(main).then(
    () => true,
    () => false,
  );
  if (isBuilt) return;
  throw new Failure("image-missing", `Cannot build the image: there is no ${main}.`, {
    hint: "In a checkout of the source, run first: npm run build",
  });
}

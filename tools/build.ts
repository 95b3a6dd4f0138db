/**
 * Makes `dist/`, what the package ships: our code and the code of its dependencies as few JavaScript files (they start
 * sooner than many), what is imported lazily in files of its own, and the types of the programmatic interface.
 *
 * Programs that run as processes of their own, and files that are read at run time, are found in the source by the one
 * way it may name them: `new URL("./name.ext", import.meta.url)`. A TypeScript file becomes an entry point, anything
 * else is copied; both lie beside the code that names them. With a template, new URL(`./${name}`, import.meta.url),
 * everything in that folder that is not TypeScript is copied.
 */

import { randomBytes } from "node:crypto";
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { build, type Metafile, type Plugin } from "esbuild";
import ts from "typescript";

const root = dirname(import.meta.dirname);
const dist = join(root, "dist");

const building = join(root, `dist.${randomBytes(4).toString("hex")}.tmp`);
try {
  const beside = filesNamedBeside();
  const metafile = await bundle(
    ["main.ts", "index.ts"].map((name) => join(root, "src", name)).concat(beside.programs),
    building,
  );
  for (const file of beside.assets) cpSync(file, join(building, basename(file)), { recursive: true });
  writeFileSync(join(building, "third-party-licences.txt"), licencesOf(bundledPackages(metafile)));
  emitTypes(join(root, "src", "index.ts"), join(building, "types"));
  replaceDist();
} finally {
  rmSync(building, { recursive: true, force: true });
}

/** Another build may end at the same time: the last one's stays. */
function replaceDist(): void {
  const previous = building.replace(/tmp$/, "old.tmp");
  for (let tries = 1; ; tries++) {
    try {
      if (existsSync(dist)) renameSync(dist, previous);
      renameSync(building, dist);
      return;
    } catch (error) {
      if (tries === 5) throw error;
    } finally {
      rmSync(previous, { recursive: true, force: true });
    }
  }
}

/** `new URL("./x", import.meta.url)`, the literal form that a build can follow. */
function besideReference(): RegExp {
  return /new URL\(\s*"(\.{1,2}\/[^"]+)",\s*import\.meta\.url,?\s*\)/g;
}

function besideTemplate(): RegExp {
  return /new URL\(\s*`\.\/[^`]+`,\s*import\.meta\.url,?\s*\)/g;
}

function filesNamedBeside(): { readonly programs: readonly string[]; readonly assets: readonly string[] } {
  const named = new Map<string, string>();
  for (const module of globSync("src/**/*.ts", { cwd: root }).sort()) {
    for (const file of filesNamedIn(join(root, module))) {
      if (!existsSync(file)) throw new Error(`${module} names ${relative(root, file)}, which is not there`);
      const other = named.get(outputName(file)) ?? file;
      if (other !== file) {
        throw new Error(
          `${relative(root, file)} and ${relative(root, other)} would be one file in dist/: rename one`,
        );
      }
      named.set(outputName(file), file);
    }
  }
  const files = [...named.values()];
  return {
    programs: files.filter((file) => file.endsWith(".ts")),
    assets: files.filter((file) => !file.endsWith(".ts")),
  };
}

function filesNamedIn(module: string): readonly string[] {
  const code = withoutComments(readFileSync(module, "utf8"));
  const folder = dirname(module);
  const literal = [...code.matchAll(besideReference())].map(([, target = ""]) => resolve(folder, target));
  if (!besideTemplate().test(code)) return literal;
  return [
    ...literal,
    ...globSync("*.*", { cwd: folder, exclude: ["*.ts"] }).map((name) => join(folder, name)),
  ];
}

async function bundle(entryPoints: readonly string[], outdir: string): Promise<Metafile> {
  const { metafile } = await build({
    entryPoints: [...entryPoints],
    outdir,
    absWorkingDir: root,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node24",
    charset: "utf8",
    legalComments: "none",
    entryNames: "[name]",
    chunkNames: "[name]-[hash]",
    // Packages in the older module format ask for Node's own modules by `require`, which a module doesn't have.
    banner: {
      js: 'import { createRequire as createRequire_ } from "node:module";\nconst require = createRequire_(import.meta.url);',
    },
    plugins: [namesBeside()],
    metafile: true,
    logLevel: "warning",
  });
  return metafile;
}

/** Everything lies in one folder after the build, so that a name beside is its last part. */
function namesBeside(): Plugin {
  return {
    name: "names-beside",
    setup(bundler) {
      bundler.onLoad({ filter: /[/\\]src[/\\].*\.ts$/ }, ({ path }) => {
        const contents = readFileSync(path, "utf8").replaceAll(
          besideReference(),
          (_, target: string) => `new URL("./${outputName(target)}", import.meta.url)`,
        );
        const others = withoutComments(contents)
          .replaceAll(besideReference(), "")
          .replaceAll(besideTemplate(), "")
          .match(/import\.meta\.(url|dirname|filename|resolve)/);
        if (others === null) return { contents, loader: "ts" };
        const text = `${others[0]} is not the same place in dist/; write new URL("./file", import.meta.url)`;
        return { errors: [{ text, location: { file: relative(root, path) } }] };
      });
    },
  };
}

function outputName(path: string): string {
  return basename(path).replace(/\.ts$/, ".js");
}

/** Good enough to keep examples in doc comments from counting: whole comment lines go. */
function withoutComments(text: string): string {
  return text.replaceAll(/^\s*(\/\/|\/?\*).*$/gm, "");
}

/** Folders of the packages that gave code to the bundle. */
function bundledPackages(metafile: Metafile): readonly string[] {
  const folders = Object.keys(metafile.inputs).flatMap((input) => {
    const match = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input);
    return match?.[1] === undefined ? [] : [match[1]];
  });
  return [...new Set(folders)].sort();
}

/** Their licences ask that their text goes with the code. */
function licencesOf(folders: readonly string[]): string {
  return folders
    .map((folder) => {
      const about: { name: string; version: string; license?: string } = JSON.parse(
        readFileSync(join(root, folder, "package.json"), "utf8"),
      );
      const file = globSync("{LICEN[CS]E,licen[cs]e,License,Licence}*", { cwd: join(root, folder) })[0];
      const text = file === undefined ? "" : readFileSync(join(root, folder, file), "utf8").trim();
      return `${about.name} ${about.version} (${about.license ?? "licence below"})\n\n${text}\n`;
    })
    .join(`\n${"-".repeat(80)}\n\n`);
}

function emitTypes(entry: string, outDir: string): void {
  const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const program = ts.createProgram([entry], {
    ...options,
    noEmit: false,
    declaration: true,
    emitDeclarationOnly: true,
    rootDir: join(root, "src"),
    outDir,
  });
  const { diagnostics } = program.emit(undefined, (path, text) => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text.replaceAll(/(from "\.{1,2}\/[^"]+)\.ts"/g, '$1.js"'));
  });
  if (diagnostics.length > 0) {
    throw new Error(
      ts.formatDiagnostics(diagnostics, {
        getCurrentDirectory: () => root,
        getCanonicalFileName: (name) => name,
        getNewLine: () => "\n",
      }),
    );
  }
}

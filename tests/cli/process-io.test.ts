import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { runCommand } from "../../src/lib/run-command.ts";
import { temporaryFolder } from "../support/temporary.ts";

const processIo = join(import.meta.dirname, "../../src/cli/process-io.ts");
const env = { PATH: process.env.PATH ?? "" };

describe("a pipe", () => {
  test("is no terminal: no width, no colours, nobody to ask", async () => {
    expect(JSON.parse(await outputOf(says))).toEqual({
      terminal: false,
      color: false,
      columns: null,
      canAsk: false,
    });
  });

  test("has colours when they are wanted by force", async () => {
    expect(JSON.parse(await outputOf(says, "{ color: true, debug: false, ci: false }"))).toMatchObject({
      terminal: false,
      color: true,
    });
  });
});

describe("a terminal", () => {
  test("has a width and colours, and somebody to ask", async () => {
    expect(JSON.parse(await onTerminal(says))).toEqual({
      terminal: true,
      color: true,
      columns: 97,
      canAsk: true,
    });
  });

  test("has no colours when they are not wanted", async () => {
    expect(JSON.parse(await onTerminal(says, "{ color: false, debug: false, ci: false }"))).toMatchObject({
      terminal: true,
      color: false,
    });
  });

  test("of a CI job is none", async () => {
    expect(JSON.parse(await onTerminal(says, "{ color: undefined, debug: false, ci: true }"))).toMatchObject({
      terminal: false,
      color: false,
      canAsk: false,
    });
  });

  test("asks on standard error and gives the answer", async () => {
    const program = 'io.stdout.write("answer=" + await io.ask("Sure? "));';
    expect(await onTerminal(program, undefined, "yes\\n")).toMatch(/Sure\? .*answer=yes/s);
  });

  test("does not show what is typed when it is told so", async () => {
    const hidden = 'const token = await io.askHidden("Token? ");';
    const shown = await onTerminal(
      `${hidden} io.stdout.write("letters=" + token.length);`,
      undefined,
      "s3cret\\n",
    );
    expect(shown).toContain("letters=6");
    expect(shown).not.toContain("s3cret");
    const ended = await onTerminal(`${hidden} io.stdout.write("answer=" + token);`, undefined, "\\x03");
    expect(ended).toContain("answer=undefined");
    const asked = 'io.stdout.write("answer=" + await io.ask("Token? "));';
    expect(await onTerminal(asked, undefined, "s3cret\\n")).toMatch(/s3cret\s+answer=s3cret/);
  });

  test("gives no answer when its input ends, or at Ctrl-C", async () => {
    const program = 'io.stdout.write("answer=" + await io.ask("Sure? "));';
    expect(await onTerminal(program, undefined, "\\x04")).toContain("answer=undefined");
    expect(await onTerminal(program, undefined, "\\x03")).toContain("answer=undefined");
  });
});

describe("a reader that goes away (| head)", () => {
  const writesOn = [
    'io.stdout.write("first\\n");',
    "while (!io.outputClosed.aborted) {",
    '  io.stdout.write("more\\n".repeat(1000));',
    "  await io.sleep(1);",
    "}",
    'io.stdout.write("unheard\\n");',
    'io.stderr.write("went on\\n");',
    "process.exitCode = 7;",
  ].join("\n");

  test("is noticed, and ends neither the command nor its standard error", async () => {
    const child = start(writesOn);
    let stderr = "";
    child.stderr?.on("data", (chunk) => {
      stderr += chunk;
    });
    await once(child.stdout as NodeJS.ReadableStream, "data");
    child.stdout?.destroy();
    const [code] = await once(child, "close");
    expect({ code, stderr }).toEqual({ code: 7, stderr: "went on\n" });
  });

  test("would end a program that does not listen for it", async () => {
    const child = start('setInterval(() => process.stdout.write("more\\n".repeat(1000)), 1);', true);
    child.stderr?.resume();
    await once(child.stdout as NodeJS.ReadableStream, "data");
    child.stdout?.destroy();
    const [code] = await once(child, "close");
    expect(code).not.toBe(0);
  });
});

describe("a signal", () => {
  test.each(["SIGINT", "SIGTERM"] as const)("goes to its handler while there is one: %s", async (signal) => {
    const program = [
      "setInterval(() => {}, 1000);",
      `const off = io.onSignal("${signal}", () => { off(); io.stdout.write("handled\\n"); });`,
      'io.stdout.write("ready\\n");',
    ].join("\n");
    const child = start(program);
    let stdout = "";
    child.stdout?.on("data", (chunk) => {
      stdout += chunk;
      if (stdout === "ready\n" || stdout === "ready\nhandled\n") child.kill(signal);
    });
    const [code, endedBy] = await once(child, "close");
    expect({ stdout, code, endedBy }).toEqual({ stdout: "ready\nhandled\n", code: null, endedBy: signal });
  });
});

describe("time", () => {
  test("sleeps until it is woken, without failing", async () => {
    const program = [
      "const wake = new AbortController();",
      "setTimeout(() => wake.abort(), 10);",
      "await io.sleep(2 ** 40, wake.signal);",
      'io.stdout.write("awake\\n");',
    ].join("\n");
    expect(await outputOf(program)).toBe("awake\n");
  });

  test("called again and again keeps no command alive", async () => {
    expect(await outputOf('io.every(10, () => {}); io.stdout.write("done\\n");')).toBe("done\n");
  });
});

const says =
  "const { isTerminal: terminal, color } = io.stdout; io.stdout.write(JSON.stringify({ terminal, color, columns: io.columns ?? null, canAsk: io.canAsk }));";

const usual = "{ color: undefined, debug: false, ci: false }";

/** A program with `io`, the command line's view of its process. */
function programFile(body: string, settings = usual): string {
  const file = join(temporaryFolder(), "program.mts");
  const first = `import { processIo } from ${JSON.stringify(processIo)};\nconst io = processIo(${settings});\n`;
  writeFileSync(file, `${first}${body}\n`);
  return file;
}

async function outputOf(body: string, settings?: string): Promise<string> {
  const { stdout, stderr, exitCode } = await runCommand(process.execPath, [programFile(body, settings)], {
    env,
    timeout: 20_000,
  });
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  return stdout;
}

function start(body: string, plain = false): ChildProcess {
  const file = plain ? join(temporaryFolder(), "plain.mjs") : programFile(body);
  if (plain) writeFileSync(file, body);
  const child = spawn(process.execPath, [file], { env, stdio: ["ignore", "pipe", "pipe"] });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  return child;
}

/** On a real terminal of 97 columns that Python makes; it types `keys` (a Python string) once something was asked. */
async function onTerminal(body: string, settings?: string, keys = ""): Promise<string> {
  const driver = [
    "import fcntl, os, pty, struct, sys, termios",
    "pid, terminal = pty.fork()",
    "if pid == 0:",
    "    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 97, 0, 0))",
    "    os.execv(sys.argv[1], sys.argv[1:])",
    `keys = b"${keys}"`,
    "shown = b''",
    "while True:",
    "    try:",
    "        more = os.read(terminal, 65536)",
    "    except OSError:",
    "        break",
    "    if not more:",
    "        break",
    "    shown += more",
    "    if keys and b'?' in shown:",
    "        os.write(terminal, keys)",
    "        keys = b''",
    "os.waitpid(pid, 0)",
    "sys.stdout.buffer.write(shown)",
  ].join("\n");
  const { stdout, stderr, exitCode } = await runCommand(
    "python3",
    ["-c", driver, process.execPath, programFile(body, settings)],
    { env: { ...env, TERM: "xterm-256color", HOME: process.env.HOME ?? "/" }, timeout: 20_000 },
  );
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  return stdout;
}

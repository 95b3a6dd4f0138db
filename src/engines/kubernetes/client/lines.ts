/**
 * Lines of a stream, without their ends. A line is put together before it is decoded, for a character may come in two
 * pieces. What comes after the last line's end is given to `onRest`, if it is anything.
 */
export async function* linesOf(
  chunks: AsyncIterable<Buffer>,
  onRest?: (rest: string) => void,
): AsyncGenerator<readonly string[], void, undefined> {
  let begun: Buffer[] = [];
  for await (const chunk of chunks) {
    const end = chunk.lastIndexOf(newline);
    if (end < 0) {
      begun.push(chunk);
      continue;
    }
    yield Buffer.concat([...begun, chunk.subarray(0, end)])
      .toString("utf8")
      .split("\n");
    begun = end + 1 < chunk.length ? [chunk.subarray(end + 1)] : [];
  }
  if (begun.length > 0) onRest?.(Buffer.concat(begun).toString("utf8"));
}

const newline = 0x0a;

/** Follows a stream of websocket frames (RFC 6455, 5.2) to know where one ends. */
export interface FrameFollower {
  push(chunk: Buffer): void;
  /** True when the next byte begins a frame: only there may a frame of ours go in between. */
  betweenFrames(): boolean;
}

export function followFrames(): FrameFollower {
  let header: number[] = [];
  let payloadLeft = 0;
  return {
    betweenFrames: () => payloadLeft === 0 && header.length === 0,
    push(chunk) {
      let at = 0;
      while (at < chunk.length) {
        if (payloadLeft > 0) {
          const taken = Math.min(payloadLeft, chunk.length - at);
          payloadLeft -= taken;
          at += taken;
          continue;
        }
        header.push(chunk[at++] as number);
        if (header.length < 2 || header.length < headerLength(header)) continue;
        payloadLeft = payloadLength(header);
        header = [];
      }
    },
  };
}

/** A close frame to a client: 1001, "going away". */
export const goingAway: Buffer = Buffer.from([0x88, 0x02, 0x03, 0xe9]);

function headerLength(header: readonly number[]): number {
  const second = header[1] as number;
  return 2 + extendedLength(second) + ((second & 0x80) === 0 ? 0 : 4);
}

function payloadLength(header: readonly number[]): number {
  const second = header[1] as number;
  const extended = header.slice(2, 2 + extendedLength(second));
  return extended.length === 0 ? second & 0x7f : extended.reduce((sum, byte) => sum * 256 + byte, 0);
}

function extendedLength(second: number): number {
  const length = second & 0x7f;
  return length === 127 ? 8 : length === 126 ? 2 : 0;
}

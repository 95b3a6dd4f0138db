/** Our own image, made with whatever builds images on this machine. */
export interface ImageTool {
  /**
   * Builds it from the installed package. Fails: image-missing (no such program, or it failed; its last lines in
   * `details`), cancelled.
   */
  build(order: ImageOrder): Promise<MadeImage>;
  /** Sends it to its registry. Fails as `build`. */
  push(order: Omit<ImageOrder, "platform">): Promise<MadeImage>;
}

export interface ImageOrder {
  /** `registry.example.com/team/bodywork:1`; the setting kubernetes.image when undefined. */
  readonly tag: string | undefined;
  /** `linux/arm64`; this machine's own when undefined. */
  readonly platform: string | undefined;
  /** What the program prints, as it comes. */
  readonly onOutput: (text: string) => void;
  readonly signal: AbortSignal;
}

export interface MadeImage {
  readonly image: string;
  /** `docker`, `podman` or `buildah`: what has made or sent it. */
  readonly program: string;
}

import type { CommandSpec, OptionSpec } from "../command-spec.ts";
import { output } from "./shared.ts";

const tag: OptionSpec = {
  kind: "value",
  name: "tag",
  value: "IMAGE",
  summary: "Its name with its registry; the setting kubernetes.image if left out",
};

/** Rows of the command table. */
export const imageCommands: readonly CommandSpec[] = [
  {
    words: ["image", "build"],
    summary: "Build the image that cronjobs and --async run in on Kubernetes",
    description: [
      "Stages need no image of ours; what deploys by itself inside the cluster does. It is built of this installation, with docker, podman or buildah, whichever works here. What the program says comes on standard error.",
    ],
    arguments: [],
    options: [
      tag,
      {
        kind: "value",
        name: "platform",
        value: "PLATFORM",
        summary: "As linux/arm64, of the cluster's nodes; this machine's own if left out",
      },
      output,
    ],
    examples: ["bodywork image build --tag registry.example.com/team/bodywork:4.0.0"],
    load: async () => (await import("../commands/image.ts")).buildImage,
  },
  {
    words: ["image", "push"],
    summary: "Send that image to its registry, where the cluster finds it",
    arguments: [],
    options: [tag, output],
    examples: ["bodywork image push --tag registry.example.com/team/bodywork:4.0.0"],
    load: async () => (await import("../commands/image.ts")).pushImage,
  },
];

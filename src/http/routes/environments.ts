import { z } from "zod";

import type { Operations } from "../../operations/operations.ts";
import { type Route, route } from "../route.ts";

export function environmentRoutes(operations: Operations): readonly Route[] {
  return [
    route({
      method: "GET",
      path: "/environments",
      scope: "read",
      summary: "Python environments",
      json: () => operations.environments(),
    }),
    route({
      method: "POST",
      path: "/environments/clean",
      scope: "deploy",
      summary: "Remove environments that no live release uses",
      body: z.strictObject({ unusedDays: z.number().min(0).max(100_000) }),
      audit: { what: "clean environments", on: () => "environments" },
      json: ({ body }) => operations.cleanEnvironments(body),
    }),
  ];
}

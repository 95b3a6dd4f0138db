/** What is done to a cluster as a whole, for those who look after it. */
export interface ClusterAdmin {
  /** What Bodywork needs in the cluster is made, or mended. With `dryRun` nothing is changed: `objects` is what would be. */
  configure(options: { readonly dryRun: boolean }): Promise<ConfiguredCluster>;
  /**
   * Everything of Bodywork's goes: cronjobs, jobs, history, groups of secrets, accounts and roles. Fails: not-allowed while
   * deployments live, unless `withDeployments`.
   */
  remove(options: { readonly withDeployments: boolean }): Promise<{ readonly removed: readonly string[] }>;
}

export interface ConfiguredCluster {
  /** One line for each thing: made, mended, or there already. */
  readonly lines: readonly { readonly level: "info" | "warning"; readonly text: string }[];
  /** As Kubernetes takes them. */
  readonly objects: readonly Readonly<Record<string, unknown>>[];
}

/** `replica 2 of 3`; a service's only replica stays `replica 1`, which needs no naming. */
export function replicaSource(replica: string, replicas: number): string {
  return replicas > 1 ? `${replica} of ${replicas}` : replica;
}

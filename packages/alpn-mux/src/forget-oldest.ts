/** forget-oldest.ts: keeps a Map that grows by one entry at a time within its bound, at the cost of the entry set first. */
export function forgetOldest(map: Map<string, unknown>, max: number): void {
  if (map.size <= max) return;
  const [oldest] = map.keys();
  map.delete(oldest as string);
}

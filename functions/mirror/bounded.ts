/** Runs `work` over `items`, at most `limit` at once; results in the items' order. The first failure, in time, ends it. */
export async function bounded<T, R>(items: readonly T[], limit: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results = new Array<R>(items.length);
  const queue = items.entries();
  // What fails after it often fails because of it, and would hide it.
  let first: { error: unknown } | undefined;
  const worker = async (): Promise<void> => {
    for (const [index, item] of queue) {
      if (first) return;
      try {
        results[index] = await work(item);
      } catch (error) {
        first ??= { error };
      }
    }
  };
  // Every worker has come to rest before the failure is told: nothing goes on behind the caller's back.
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  if (first) throw first.error;
  return results;
}

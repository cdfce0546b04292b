import { CancellationScope } from '@temporalio/workflow';

/**
 * Runs something for each item, some at a time, in order. After a failure no more are begun; it is thrown when those under
 * way have ended, which are cancelled.
 */
export async function inLanes<T>(
  items: readonly T[],
  lanes: number,
  run: (item: T) => Promise<void>,
): Promise<void> {
  const waiting = [...items];
  await CancellationScope.cancellable(async () => {
    const scope = CancellationScope.current();
    let first: { readonly error: unknown } | undefined;
    const lane = async () => {
      for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await run(item);
    };
    await Promise.all(
      Array.from({ length: lanes }, () =>
        lane().catch((error: unknown) => {
          first ??= { error };
          waiting.length = 0;
          scope.cancel();
        }),
      ),
    );
    if (first !== undefined) throw first.error;
  });
}

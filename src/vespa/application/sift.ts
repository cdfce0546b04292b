/**
 * Which items do not go with those before them, each with the reason: in order, so that of two that clash the later one
 * gives way. Every item named was seen refused on top of a set that was seen accepted. Halves of what is known to be
 * refused are tried, so that one bad of n costs about log2 n trials, and all bad at most 2n.
 *
 * @param why the reason for which all together are refused
 * @param refusal tries a set: the reason when it is refused
 */
export async function sift<T>(
  items: readonly T[],
  why: string,
  refusal: (items: readonly T[]) => Promise<string | undefined>,
): Promise<Map<T, string>> {
  const refused = new Map<T, string>();
  const accepted: T[] = [];
  const search = async (part: readonly T[], reason: string): Promise<void> => {
    if (part.length <= 1) {
      for (const item of part) refused.set(item, reason);
      return;
    }
    const half = Math.ceil(part.length / 2);
    const [left, right] = [part.slice(0, half), part.slice(half)];
    const leftReason = await refusal([...accepted, ...left]);
    if (leftReason === undefined) accepted.push(...left);
    else await search(left, leftReason);
    // With the whole left half accepted, this trial was made already.
    const rightReason = leftReason === undefined ? reason : await refusal([...accepted, ...right]);
    if (rightReason === undefined) accepted.push(...right);
    else await search(right, rightReason);
  };
  await search(items, why);
  return refused;
}

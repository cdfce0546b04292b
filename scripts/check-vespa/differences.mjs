/** Why an answer may differ; undefined where it must not. The list is docs/emulator-differences.md. */
export function explain(_request, _real, _ours) {
  return undefined;
}

/** Ranking strategies are the rank profiles of the base schema; this one is used when none is asked for. */
export const DEFAULT_RANKING = 'hybrid_float_bm25';

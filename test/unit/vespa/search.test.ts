import { describe, expect, it } from 'vitest';
import { OpsError } from '../../../src/domain/errors.js';
import { PROFILE_NAMES } from '../../../src/domain/profiles.js';
import { rankingsOf, strategyOf } from '../../../src/vespa/search.js';

const colpali = 'video_colpali_smol500_mv_frame';
const needs = (ranking: string) => {
  const { needsFloat, needsBinary, needsText } = strategyOf(colpali, ranking);
  return [needsFloat && 'float', needsBinary && 'binary', needsText && 'text'].filter(Boolean);
};

describe('strategyOf', () => {
  it.each([
    ['default', ['binary']],
    ['bm25_only', ['text']],
    ['bm25_no_description', ['text']],
    ['float_float', ['float']],
    ['binary_binary', ['binary']],
    ['float_binary', ['float']],
    ['phased', ['float', 'binary']],
    ['hybrid_float_bm25', ['float', 'text']],
    ['hybrid_binary_bm25', ['binary', 'text']],
    ['hybrid_bm25_binary', ['binary', 'text']],
    ['hybrid_bm25_float', ['float', 'text']],
    ['hybrid_float_bm25_no_description', ['float', 'text']],
  ])('%s needs %j', (ranking, wanted) => {
    expect(needs(ranking)).toEqual(wanted);
  });

  it('of any ranking of any profile asks for what its expressions use, and nothing else', () => {
    for (const profile of PROFILE_NAMES)
      for (const ranking of rankingsOf(profile)) {
        const { profile: rank, ...wants } = strategyOf(profile, ranking);
        const used = `${rank.firstPhase} ${rank.secondPhase?.expression ?? ''}`;
        expect([profile, ranking, wants]).toEqual([
          profile,
          ranking,
          {
            needsFloat: used.includes('query(qt)'),
            needsBinary: used.includes('query(qtb)'),
            needsText: used.includes('bm25('),
          },
        ]);
      }
  });

  it('names the rankings that there are when asked for another', () => {
    const ask = () => strategyOf(colpali, 'best');
    expect(ask).toThrow(OpsError);
    expect(ask).toThrow(
      expect.objectContaining({ type: 'InvalidInput', hint: `rankings: ${rankingsOf(colpali).join(', ')}` }),
    );
  });
});

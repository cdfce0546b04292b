import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { configProblems } from '../../../src/domain/config/check.js';
import { SYSTEM_CONFIG } from '../../../src/domain/config/keys.js';
import { checkUrl } from '../../../src/domain/urlGuard.js';
import { expectRefused, share } from '../../support/badInput/texts.js';
import { SYSTEM_VALUE, TENANT_CONTEXT } from '../../support/badInput/documents.js';
import { confusingUrls, forbiddenUrls } from '../../support/badInput/urls.js';

/** Whatever may be allowed, is: these are refused for good. */
const EVERYTHING = { allowedPrivate: ['0.0.0.0/0', '::/0', 'metadata.google.internal', 'instance-data'] };

describe('a URL', () => {
  it('of a public host is taken', () => {
    expect(checkUrl('https://example.com/v1', EVERYTHING).href).toBe('https://example.com/v1');
  });

  it('of a link-local or metadata address is refused in every notation, whatever an operator allows', () => {
    fc.assert(
      fc.property(forbiddenUrls, (url) => expectRefused(() => checkUrl(url, EVERYTHING), url)),
      share(8),
    );
  });

  it('that two programs could read as two is refused', () => {
    fc.assert(
      fc.property(confusingUrls, (url) => expectRefused(() => checkUrl(url, EVERYTHING), url)),
      share(5),
    );
  });

  it('of those is refused in a configuration too, and by name', () => {
    const context = { ...TENANT_CONTEXT, ...EVERYTHING };
    expect(configProblems(SYSTEM_CONFIG, SYSTEM_VALUE, context)).toEqual([]);
    fc.assert(
      fc.property(forbiddenUrls, fc.constantFrom('llm_base_url', 'vespa_url'), (url, field) => {
        const problems = configProblems(SYSTEM_CONFIG, { ...SYSTEM_VALUE, [field]: url }, context);
        expect(problems.map(({ path }) => path)).toEqual([field]);
      }),
      share(4),
    );
  });
});

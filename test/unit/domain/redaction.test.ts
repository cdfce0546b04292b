import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OpsError } from '../../../src/domain/errors.js';
import { redact, redactError, redactForeign, rememberSecret } from '../../../src/domain/redaction.js';
import { readReference } from '../../../src/secrets.js';

describe('redaction', () => {
  it('shows no secret that was read by reference, in whatever form it comes back', async () => {
    const secret = 'q"9/+ £ä-planted';
    await readReference('env:A_SECRET', 'the test', { A_SECRET: secret });
    const forms = [secret, encodeURIComponent(secret), JSON.stringify({ said: secret })];
    for (const form of forms) {
      const masked = redact(`before ${form} after`);
      expect(masked).toMatch(/^before .*\*\*\*.* after$/);
      expect(masked).not.toContain('planted');
      expect(new OpsError('Rejected', form, form)).toMatchObject({
        message: expect.not.stringContaining('planted') as string,
        hint: expect.not.stringContaining('planted') as string,
      });
    }
  });

  it('shows no line of a key of several', () => {
    const lines = ['MC4CAQAwBQYDK2VwBCIEIplantedkey', 'anotherlineofit0123456789'];
    rememberSecret(`-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----\n`);
    expect(redact(`it says ${lines[0]} and ${lines[1]}`)).toBe('it says *** and ***');
  });

  it.each([
    ['connect to https://user:hunter2@host failed', 'connect to https://***@host failed'],
    ['postgresql://u:p%40ss@db:5432/x', 'postgresql://***@db:5432/x'],
    ['Authorization: Bearer abc.def-123456', /^Authorization: /],
    ['Incorrect API key provided: sk-proj_0123456789abcdef.', 'Incorrect API key provided: ***.'],
    ['eyJhbGciOiJub25l.eyJzdWIiOiIx.sig', '***'],
    ['AKIAABCDEFGHIJKLMNOP is unknown', '*** is unknown'],
    ['GET /x?X-Amz-Signature=0123abcd&a=1', 'GET /x?X-Amz-Signature=***&a=1'],
  ])('of our own words: %s', (text, shown) => {
    expect(redact(text)).toMatch(shown);
    expect(redact(text)).not.toMatch(/hunter2|p%40ss|abc\.def|0123456789abcdef|0123abcd|sub/);
  });

  it.each([
    '{"api_key": "hunter2"}',
    '{\\"token\\":\\"hunter2\\"}',
    'password=hunter2 host=x',
    'secret: hunter2',
    'basic hunter2',
  ])('of somebody else’s words: %s', (text) => {
    expect(redactForeign(text)).not.toContain('hunter2');
  });

  it('leaves JSON that is logged JSON', () => {
    const log = JSON.stringify({ err: { message: 'token="hunter2" x', url: 'http://a:b@c/' }, token: 'x1' });
    expect(JSON.parse(redactForeign(log))).toMatchObject({ token: '***' });
  });

  it.each([
    'llm_api_key is a reference env:NAME or file:/PATH, never the secret itself',
    'not a tenant id: "x@y"; a tenant id is 2 to 48 characters',
    'give env:NAME or file:PATH, not the encoder token itself',
    'basic authentication',
    'ann@example.com asked',
    's3://bucket/prefix, list:/file',
  ])('leaves what we say as it is: %s', (text) => {
    expect(redact(text)).toBe(text);
  });

  it('masks an error with all its causes in place, cyclic ones too', () => {
    const cause: Error = new TypeError('password=hunter2');
    const error = new AggregateError([new Error('at http://a:hunter2@h/')], 'token: hunter2', { cause });
    cause.cause = error;
    expect(redactError(error)).toBe(error);
    const shown = [error, cause, ...(error.errors as Error[])].map((e) => `${e.message} ${e.stack}`).join();
    expect(shown).not.toContain('hunter2');
    expect(redactError('no error')).toBe('no error');
  });

  it('takes any text in a time that does not run away', () =>
    fc.assert(
      fc.property(fc.string({ maxLength: 2000 }), fc.nat(50), (text, n) => {
        expect(typeof redactForeign(`${text}${'token=:"'.repeat(n)}${'eyJ.'.repeat(n)}`)).toBe('string');
      }),
    ));
});

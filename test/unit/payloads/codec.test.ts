import { randomBytes } from 'node:crypto';
import type { Payload } from '@temporalio/common';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EncryptionCodec } from '../../../src/payloads/codec.js';
import { codecOf } from '../../../src/payloads/converter.js';
import { parsePayloadKeys } from '../../../src/payloads/keys.js';

const key = (id: string) => `${id}:${randomBytes(32).toString('hex')}`;
const [first, second] = [key('first'), key('second')];
const codecWith = (keys: string, acceptPlain = true) =>
  new EncryptionCodec(parsePayloadKeys(keys, 'the test'), { acceptPlain });
const codec = codecWith(first);

const payload: fc.Arbitrary<Payload> = fc.record({
  metadata: fc.dictionary(fc.string({ minLength: 1 }), fc.uint8Array()),
  data: fc.uint8Array({ maxLength: 2000 }),
});
/** Bytes by value, whatever class holds them. */
const shown = ({ metadata, data }: Payload) => [
  Object.fromEntries(
    Object.entries(metadata ?? {}).map(([name, value]) => [name, Buffer.from(value).toString('hex')]),
  ),
  Buffer.from(data ?? []).toString('hex'),
];
const text = (p: Payload, name: string) => Buffer.from(p.metadata![name]!).toString();

describe('the codec', () => {
  it('gives back what it was given, and shows nothing of it', () =>
    fc.assert(
      fc.asyncProperty(fc.array(payload, { maxLength: 5 }), async (payloads) => {
        const encoded = await codec.encode(payloads);
        for (const each of encoded) {
          expect(text(each, 'encoding')).toBe('binary/encrypted');
          expect(text(each, 'encryption-key-id')).toBe('first');
          expect(Object.keys(each.metadata!)).toHaveLength(2);
        }
        expect((await codec.decode(encoded)).map(shown)).toEqual(payloads.map(shown));
      }),
      { numRuns: 200 },
    ));

  it('encrypts the same twice as two different texts', async () => {
    const one = { metadata: {}, data: Buffer.from('planted words') };
    const [a, b] = (await codec.encode([one, one])) as [Payload, Payload];
    expect(Buffer.from(a.data!).equals(Buffer.from(b.data!))).toBe(false);
    expect(Buffer.from(a.data!).includes('planted')).toBe(false);
  });

  it('refuses whatever was changed by a bit, cut or put under another key’s name', () =>
    fc.assert(
      fc.asyncProperty(payload, fc.nat(), async (plain, at) => {
        const [good] = (await codec.encode([plain])) as [Payload];
        const data = Buffer.from(good.data!);
        const flipped = Buffer.from(data);
        const bit = at % (data.length * 8);
        flipped[bit >> 3]! ^= 1 << (bit & 7);
        const bad: Payload[] = [
          { ...good, data: flipped },
          { ...good, data: data.subarray(0, at % data.length) },
          { ...good, data: Buffer.concat([data, Buffer.alloc(1)]) },
        ];
        for (const each of bad)
          await expect(codec.decode([each])).rejects.toMatchObject({ type: 'VerificationFailed' });
        const renamed = {
          ...good,
          metadata: { ...good.metadata, 'encryption-key-id': Buffer.from('second') },
        };
        await expect(codec.decode([renamed])).rejects.toMatchObject({ type: 'InvalidInput' });
        // Also by a holder of one key under two names.
        const twin = codecWith(`${first} ${first.replace('first', 'second')}`);
        await expect(twin.decode([renamed])).rejects.toMatchObject({ type: 'VerificationFailed' });
      }),
      { numRuns: 100 },
    ));

  it('after a rotation writes with the new key and reads with both; without the old one it names it', async () => {
    const plain = { metadata: { encoding: Buffer.from('json/plain') }, data: Buffer.from('{}') };
    const old = await codec.encode([plain]);
    const rotated = codecWith(`${second}\n${first}\n`);
    expect((await rotated.decode(old)).map(shown)).toEqual([shown(plain)]);
    const [fresh] = (await rotated.encode([plain])) as [Payload];
    expect(text(fresh, 'encryption-key-id')).toBe('second');
    await expect(codecWith(second).decode(old)).rejects.toMatchObject({
      type: 'InvalidInput',
      message: expect.stringContaining('"first"') as string,
    });
    const impostor = codecWith(key('first'));
    await expect(impostor.decode(old)).rejects.toMatchObject({ type: 'VerificationFailed' });
  });

  it('reads what was written before the keys, unless that is to be refused', async () => {
    const plain = { metadata: { encoding: Buffer.from('json/plain') }, data: Buffer.from('1') };
    expect(await codec.decode([plain])).toEqual([plain]);
    await expect(codecWith(first, false).decode([plain])).rejects.toMatchObject({
      type: 'VerificationFailed',
    });
  });
});

describe('payload keys', () => {
  it.each([
    ['nothing', ' \n'],
    ['a key without an id', first.slice(6)],
    ['a short key', 'a:abcd'],
    ['a bad id', first.replace('first', 'First')],
    ['one id twice', `${first},${first}`],
  ])('refuses %s, and repeats no key', (_, keys) => {
    let said = '';
    try {
      parsePayloadKeys(keys, 'env:KEYS');
    } catch (error) {
      expect(error).toMatchObject({ type: 'InvalidInput' });
      said = (error as Error).message;
    }
    expect(said).toMatch(/^env:KEYS /);
    expect(said).not.toContain(first.slice(6));
  });

  it('are needed to refuse plain payloads', async () => {
    expect(await codecOf({ payloadKeys: '', plainPayloads: 'accept' })).toBeUndefined();
    for (const plainPayloads of ['refuse', 'maybe'])
      await expect(codecOf({ payloadKeys: '', plainPayloads })).rejects.toMatchObject({
        type: 'InvalidInput',
      });
  });
});

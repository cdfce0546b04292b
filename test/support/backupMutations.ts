import { type KeyObject, createHash, generateKeyPairSync } from 'node:crypto';
import { zstdCompressSync } from 'node:zlib';
import { z } from 'zod';
import { type SignedForm, signFile } from '../../src/certificates/signedFile.js';
import type { BackupManifest } from '../../src/contracts/backup.js';

/** The objects of a store by path. */
export type Objects = Map<string, Buffer>;

export interface MutationInput {
  /** Of the backup; changed in place. */
  readonly objects: Objects;
  /** `<tenant>/<backup>/`. */
  readonly prefix: string;
  /** Of another backup whose parts have the same names within it. */
  readonly other: { readonly objects: Objects; readonly prefix: string };
  /** The key that the reader trusts: some liars have it. */
  readonly signingKey: KeyObject;
  /** A whole number from 0 to below n. */
  readonly pick: (n: number) => number;
}

/** What can befall a backup, by accident or on purpose. Each leaves another backup than there was. */
export const MUTATIONS: Readonly<Record<string, (input: MutationInput) => void>> = {
  flip: ({ objects, pick }) => {
    const [path, bytes] = oneOf([...objects], pick);
    const changed = Buffer.from(bytes);
    changed[pick(changed.length)]! ^= 1 << pick(8);
    objects.set(path, changed);
  },
  truncate: ({ objects, pick }) => {
    const [path, bytes] = oneOf([...objects], pick);
    objects.set(path, bytes.subarray(0, pick(bytes.length)));
  },
  extend: ({ objects, pick }) => {
    const [path, bytes] = oneOf([...objects], pick);
    objects.set(path, Buffer.concat([bytes, bytes.subarray(0, 1 + pick(bytes.length))]));
  },
  swap: ({ objects, pick }) => {
    const [a, bytes] = oneOf([...objects], pick);
    const [b, others] = oneOf(
      [...objects].filter(([, candidate]) => !candidate.equals(bytes)),
      pick,
    );
    objects.set(a, others).set(b, bytes);
  },
  drop: ({ objects, pick }) => {
    objects.delete(oneOf([...objects.keys()], pick));
  },
  duplicate: ({ objects, prefix, pick }) => {
    const [, bytes] = oneOf([...objects], pick);
    const names = [
      'documents/x/part-00000.jsonl.zst',
      'traces/spans-00007.jsonl.zst',
      'manifest.json.bak',
      'a',
    ];
    objects.set(prefix + oneOf(names, pick), bytes);
  },
  'part of another backup, as a link would lead to': ({ objects, prefix, other, pick }) => {
    const path = oneOf([...objects.keys()], pick);
    objects.set(path, other.objects.get(other.prefix + path.slice(prefix.length))!);
  },
  'manifest of another backup': ({ objects, prefix, other }) => {
    objects.set(`${prefix}manifest.json`, other.objects.get(`${other.prefix}manifest.json`)!);
  },
  'manifest formatted': (input) => {
    const { objects, prefix } = input;
    objects.set(`${prefix}manifest.json`, Buffer.from(`${JSON.stringify(fileOf(input), null, 1)}\n`));
  },
  'manifest of a stranger': (input) => {
    sign({ ...input, signingKey: generateKeyPairSync('ed25519').privateKey }, fileOf(input).manifest);
  },
  'signed path that leads out': (input) => {
    const { manifest } = fileOf(input);
    const part = oneOf(manifest.parts, input.pick);
    const out = [
      `../${part.path}`,
      `/${part.path}`,
      `x/../${part.path}`,
      `../../${input.other.prefix}${part.path}`,
      '',
    ];
    (part as { path: string }).path = oneOf(out, input.pick);
    sign(input, manifest);
  },
  'signed part twice': (input) => {
    const { manifest } = fileOf(input);
    const at = input.pick(manifest.parts.length);
    sign(input, { ...manifest, parts: manifest.parts.toSpliced(at, 0, manifest.parts[at]!) });
  },
  'signed count that is wrong': (input) => {
    const { manifest } = fileOf(input);
    const part = oneOf(manifest.parts, input.pick);
    (part as { count: number }).count += 1;
    sign(input, manifest);
  },
  'signed bomb': (input) => {
    const { manifest } = fileOf(input);
    const part = oneOf(
      manifest.parts.filter(({ path }) => path.endsWith('.zst')),
      input.pick,
    );
    const bytes = bomb();
    input.objects.set(input.prefix + part.path, bytes);
    Object.assign(part, { size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') });
    sign(input, manifest);
  },
};

/** Signs what no writer would. */
const LOOSE: SignedForm<'manifest', BackupManifest> = {
  member: 'manifest',
  prefix: 'cogniverse-ops/backup/v1\n',
  maxBytes: 2 ** 24,
  file: z.any(),
};

function sign({ objects, prefix, signingKey }: MutationInput, manifest: BackupManifest): void {
  objects.set(`${prefix}manifest.json`, Buffer.from(signFile(LOOSE, manifest, signingKey)));
}

function fileOf({ objects, prefix }: MutationInput): { manifest: BackupManifest } {
  return JSON.parse(objects.get(`${prefix}manifest.json`)!.toString()) as { manifest: BackupManifest };
}

let bombBytes: Buffer | undefined;
/** 64 MiB in a few KiB. */
function bomb(): Buffer {
  return (bombBytes ??= zstdCompressSync(Buffer.alloc(2 ** 26, '{}\n')));
}

function oneOf<T>(all: readonly T[], pick: (n: number) => number): T {
  return all[pick(all.length)]!;
}

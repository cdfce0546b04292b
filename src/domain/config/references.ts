import { OpsError } from '../errors.js';
import type { TenantId } from '../ids.js';
import { type OwnSecrets, isOwnSecret } from '../ownSecrets.js';
import { type SecretPlace, secretPlaceOf, secretPlaceText, secretPlacesOf } from '../secretPlaces.js';
import { isRecord } from './fields.js';
import type { ConfigKey } from './keys.js';

type Value = Readonly<Record<string, unknown>>;

/** A reference of a configuration, and the address that what it stands for is sent to. */
export interface SentReference {
  /** `llm_api_key`, `strategy_tokens.llm`. */
  readonly path: string;
  readonly reference: string;
  readonly to: string | undefined;
}

/** A configuration, and the paths of references in it that an administrator answers for. */
export interface Vouched {
  readonly value: Value;
  readonly vouched: readonly string[];
}

/** What an installation lets its tenants' configurations refer to. */
export interface ReferenceRules {
  readonly places: readonly SecretPlace[];
  readonly own: OwnSecrets;
}

/** Who writes, to references. */
export interface ReferenceWriter extends ReferenceRules {
  /** An administrator, who answers for what is changed, and for what the write {@link names}, changed or not. */
  readonly vouches: boolean;
}

/** Every reference in a value. */
export function sentReferences({ fields }: ConfigKey, value: Value): SentReference[] {
  return Object.entries(fields).flatMap(([name, { rule }]): SentReference[] => {
    const there = own(value, name);
    if (rule.kind === 'secret') return one(name, there, own(value, rule.sentTo));
    if (rule.kind !== 'each' || rule.rule.kind !== 'secret' || !isRecord(there)) return [];
    const addresses = own(value, rule.rule.sentTo);
    return Object.entries(there).flatMap(([part, reference]) =>
      one(`${name}.${part}`, reference, isRecord(addresses) ? own(addresses, part) : undefined),
    );
  });
}

/** What is vouched for in a value that follows another: what stays, and is sent where it was. */
export function stillVouched(key: ConfigKey, before: Vouched, after: Value): string[] {
  const changed = changedReferences(key, before.value, after).map(({ path }) => path);
  return sentReferences(key, after)
    .map(({ path }) => path)
    .filter((path) => before.vouched.includes(path) && !changed.includes(path));
}

/**
 * Whether a value may be written after another, as far as it refers to secrets. A principal of one tenant changes neither a
 * reference nor where one is sent, unless it is in a place of the tenant.
 *
 * @param writer absent: nobody, whose write changes none
 * @param names whether the write says the value of a path outright
 * @returns the paths that an administrator answers for from now on
 * @throws OpsError `PermissionDenied`; `InvalidInput` for the installation's own secrets
 */
export function vouchedAfter(
  key: ConfigKey,
  [before, after]: readonly [Vouched, Value],
  {
    tenant,
    writer,
    names,
  }: {
    readonly tenant: TenantId;
    readonly writer: ReferenceWriter | undefined;
    readonly names: (path: string) => boolean;
  },
): string[] {
  const vouches = writer?.vouches ?? false;
  const changed = changedReferences(key, before.value, after);
  const kept = stillVouched(key, before, after);
  const said = sentReferences(key, after).filter(({ path }) => names(path) && !kept.includes(path));
  const asked = vouches ? [...changed, ...said] : changed;
  for (const { path, reference } of asked) {
    // First: which names are the installation's own is nothing to probe for.
    const denial = vouches ? undefined : referenceDenial(tenant, writer?.places ?? [], { path, reference });
    if (denial !== undefined) throw new OpsError('PermissionDenied', denial.why, denial.hint);
    if (writer !== undefined && isOwnSecret(reference, writer.own)) throw ownSecret(path, reference);
  }
  return [...new Set([...kept, ...(vouches ? asked.map(({ path }) => path) : [])])].toSorted();
}

/** The installation's own, which nobody may send anywhere. */
export function ownSecret(path: string, reference: string): OpsError {
  return new OpsError(
    'InvalidInput',
    `${path} is refused: ${reference} is or may be a secret of the installation itself`,
    'give the tenant a file or variable of its own',
  );
}

/** Why a reference that no administrator answers for is not one of a tenant's. @returns undefined when it is */
export function referenceDenial(
  tenant: TenantId,
  places: readonly SecretPlace[],
  { path, reference }: Pick<SentReference, 'path' | 'reference'>,
): { readonly why: string; readonly hint: string } | undefined {
  const its = secretPlacesOf(tenant, places);
  if (secretPlaceOf(its, reference) !== undefined) return undefined;
  if (its.length === 0)
    return {
      why: `${path}: no place is set that principals of tenant ${tenant} may refer to`,
      hint: 'have an administrator set it, with the address, or set CVOPS_SECRET_PLACES for workers and commands',
    };
  return {
    why: `${path}: ${reference} is in no place of tenant ${tenant}`,
    hint: `name ${its.map(secretPlaceText).join(' or ')} (CVOPS_SECRET_PLACES), or have an administrator set it, with the address`,
  };
}

/** Those of the later value that the former did not have there, or did not send there. */
function changedReferences(key: ConfigKey, before: Value, after: Value): SentReference[] {
  const former = new Map(sentReferences(key, before).map((each) => [each.path, each]));
  return sentReferences(key, after).filter(({ path, reference, to }) => {
    const was = former.get(path);
    return was?.reference !== reference || was.to !== to;
  });
}

function one(path: string, reference: unknown, to: unknown): SentReference[] {
  if (typeof reference !== 'string') return [];
  return [{ path, reference, to: typeof to === 'string' ? to : undefined }];
}

function own(record: Value, name: string): unknown {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

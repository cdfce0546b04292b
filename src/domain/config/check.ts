import { OpsError } from '../errors.js';
import {
  type ConfigContext,
  type Field,
  type Problem,
  fieldProblems,
  isRecord,
  printable,
} from './fields.js';
import { type ConfigKey, placeName } from './keys.js';

/** All that is wrong with a value, by field; empty when it may be stored. */
export function configProblems(key: ConfigKey, value: unknown, context: ConfigContext): Problem[] {
  if (!isRecord(value)) return [{ path: placeName(key), message: 'is a JSON object of fields' }];
  const alone = recordProblems(key.fields, value, context);
  return alone.length > 0 ? alone : (key.together?.(value) ?? []);
}

/** Unknown, missing and wrong fields, each by name. */
export function recordProblems(
  fields: Readonly<Record<string, Field>>,
  value: Readonly<Record<string, unknown>>,
  context: ConfigContext,
): Problem[] {
  const unknown = Object.keys(value)
    .filter((name) => !Object.hasOwn(fields, name))
    .map((name) => ({
      path: printable(name),
      message: 'is no field',
      hint: `fields: ${Object.keys(fields).join(', ')}`,
    }));
  const known = Object.entries(fields).flatMap(([name, field]): Problem[] => {
    if (!Object.hasOwn(value, name)) return field.required ? [{ path: name, message: 'is missing' }] : [];
    return fieldProblems(name, field.rule, value[name], context);
  });
  return [...unknown, ...known];
}

/** @throws OpsError `InvalidInput` with every problem, when there is one */
export function refuseProblems(problems: readonly Problem[], before = ''): void {
  if (problems.length === 0) return;
  throw new OpsError(
    'InvalidInput',
    before + problems.map(({ path, message }) => `${path} ${message}`).join('; '),
    problems.find(({ hint }) => hint !== undefined)?.hint,
  );
}

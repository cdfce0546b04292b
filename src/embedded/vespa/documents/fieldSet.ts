import type { Schema } from '../model.js';

/** A field set that names what the schema has not; answered with 400. */
export class FieldSetError extends Error {}

/** The names of a field set; undefined for all. @throws FieldSetError */
export function fieldsOf(schema: Schema, fieldSet: string | undefined): ReadonlySet<string> | undefined {
  if (fieldSet === undefined || fieldSet === '[all]' || fieldSet === '[document]') return undefined;
  if (fieldSet === '[id]' || fieldSet === '[none]') return new Set();
  const at = fieldSet.indexOf(':');
  if (at < 0) {
    throw new FieldSetError(
      'The field set list must consist of a document type, then a colon (:), then a comma-separated list of field names',
    );
  }
  const [type, names] = [fieldSet.slice(0, at), fieldSet.slice(at + 1)];
  // Another type's fields: this one's documents come as bare ids.
  if (type !== schema.name) return new Set();
  if (names === '[all]' || names === '[document]') return undefined;
  if (names === '[id]' || names === '[none]') return new Set();
  const list = names.split(',').map((name) => name.trim());
  const unknown = list.find((name) => !schema.fields.has(name) && !schema.fieldSets.has(name));
  if (unknown !== undefined) throw new FieldSetError(`No such field ${unknown}`);
  return new Set(list.flatMap((name) => (schema.fields.has(name) ? [name] : schema.fieldSets.get(name)!)));
}

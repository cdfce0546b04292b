import type { Field, Schema } from '../model.js';
import { type TensorFormat, blockDigits, tensorTypeText } from '../tensors/codec.js';
import { parseStored } from './losslessJson.js';
import type { Output } from './output.js';
import { forEachField } from './storedJson.js';
import { type Stored, writeField } from './values.js';
import { fieldsOf } from './fieldSet.js';

/** How a field's stored text becomes the text that goes out. */
type Way =
  | { readonly kind: 'left out' }
  | { readonly kind: 'as it is' }
  /** A part of the stored text between two others: hex is stored as it goes out. */
  | {
      readonly kind: 'framed';
      readonly field: Field;
      readonly before: string;
      readonly skip: number;
      readonly skipEnd: number;
      readonly after: string;
    }
  | { readonly kind: 'number'; readonly field: Field; readonly digits: number }
  | { readonly kind: 'printed anew'; readonly field: Field };

interface Known {
  /** With its quotes. */
  readonly name: Buffer;
  readonly way: Way;
  /** Of each block of a tensor, 0 of another field. */
  readonly blockDigits: number;
}

const [MINUS, POINT, ZERO] = Buffer.from('-.0') as unknown as [number, number, number];
/** For what a document takes beyond its stored bytes, so that most go out in one chunk. */
export const ROOM = 1024;
/** Of so few digits, no two decimals are the same float: what JavaScript prints of its double is the shortest. */
const FLOAT_DIGITS = 6;
/** Java prints numbers plainly from 1E-3 to 1E7. */
const WHOLE_DIGITS = 7;
const LEFT_OUT: Way = { kind: 'left out' };

/** One for every schema and format that is asked for: requests for single documents are many. */
const writers = new WeakMap<Schema, Map<TensorFormat, FieldWriter>>();

/** @throws FieldSetError */
export function fieldWriter(schema: Schema, fieldSet: string | undefined, format: TensorFormat): FieldWriter {
  if (fieldSet !== undefined) return new FieldWriter(schema, fieldSet, format);
  const known = writers.get(schema) ?? new Map<TensorFormat, FieldWriter>();
  writers.set(schema, known);
  const writer = known.get(format) ?? new FieldWriter(schema, fieldSet, format);
  known.set(format, writer);
  return writer;
}

/** Writes documents of one schema from their stored bytes; what has the same form there and here is only copied. */
export class FieldWriter {
  private readonly fields: readonly Known[];

  /** @throws FieldSetError */
  constructor(
    schema: Schema,
    fieldSet: string | undefined,
    private readonly format: TensorFormat,
  ) {
    const wanted = fieldsOf(schema, fieldSet);
    this.fields = [...schema.fields.values()].map((field) => ({
      name: Buffer.from(JSON.stringify(field.name)),
      way: wanted === undefined || wanted.has(field.name) ? wayOf(field, format) : LEFT_OUT,
      blockDigits: field.type.kind === 'tensor' ? blockDigits(field.type.tensor) : 0,
    }));
  }

  /** The fields as a JSON object. @param stored a document as `printJson` wrote it, in its first `length` bytes */
  write(out: Output, stored: Buffer, length: number): void {
    let next = 0;
    let some = false;
    // What is copied as it is, names and commas included, goes out in one piece.
    let pending = -1;
    let last = 0;
    const flush = (until: number) => {
      if (pending >= 0 && until > pending) out.bytes(stored, pending, until);
      pending = -1;
    };
    out.reserve(length + ROOM);
    out.text('{');
    let way: Way = LEFT_OUT;
    const field = (nameAt: number, valueAt: number, end: number) => {
      if (way.kind === 'left out') {
        flush(last);
        return;
      }
      if (pending < 0) {
        if (some) out.text(',');
        pending = nameAt;
      }
      some = true;
      last = end;
      if (way.kind === 'as it is') return;
      const form = way.kind === 'number' ? numberForm(stored, valueAt, end, way.digits) : undefined;
      if (form === 'decimal') return;
      if (form === 'whole') {
        flush(end);
        out.text('.0');
        pending = end;
        return;
      }
      flush(valueAt);
      if (way.kind === 'framed' && end - valueAt > way.skip + way.skipEnd) {
        out.text(way.before);
        out.bytes(stored, valueAt + way.skip, end - way.skipEnd);
        out.text(way.after);
      } else {
        const value = parseStored(stored.toString('utf8', valueAt, end)) as Stored;
        out.text(writeField(way.field, value, this.format));
      }
      pending = end;
    };
    forEachField(stored, length, field, (nameAt, valueAt) => {
      const index = this.find(stored, nameAt, valueAt - 1, next);
      if (index >= 0) next = index + 1;
      way = index < 0 ? LEFT_OUT : this.fields[index]!.way;
      return index < 0 ? 0 : this.fields[index]!.blockDigits;
    });
    flush(last);
    out.text('}');
  }

  /** Documents are stored in the schema's order, so that the field looked for is nearly always one of the next. */
  private find(stored: Buffer, from: number, to: number, next: number): number {
    for (let i = next; i < this.fields.length; i++)
      if (isAt(this.fields[i]!.name, stored, from, to)) return i;
    for (let i = 0; i < next; i++) if (isAt(this.fields[i]!.name, stored, from, to)) return i;
    return -1;
  }
}

/** Whether Java writes a number as JavaScript did: alike, with `.0` behind it, or otherwise. */
function numberForm(
  stored: Buffer,
  from: number,
  end: number,
  digits: number,
): 'decimal' | 'whole' | undefined {
  const start = stored[from] === MINUS ? from + 1 : from;
  let point = -1;
  for (let at = start; at < end; at++) {
    const byte = stored[at]!;
    if (byte === POINT) point = at;
    else if (byte < ZERO || byte > ZERO + 9) return undefined;
  }
  if (end - start > digits) return undefined;
  if (point < 0) return end - start <= WHOLE_DIGITS ? 'whole' : undefined;
  if (point - start > WHOLE_DIGITS) return undefined;
  const isSmall = stored[start] === ZERO && stored[start + 2] === ZERO && stored[start + 3] === ZERO;
  return isSmall ? undefined : 'decimal';
}

function isAt(name: Buffer, stored: Buffer, from: number, to: number): boolean {
  if (name.length !== to - from) return false;
  for (let i = 0; i < name.length; i++) if (stored[from + i] !== name[i]) return false;
  return true;
}

function wayOf(field: Field, format: TensorFormat): Way {
  const { type } = field;
  switch (type.kind) {
    case 'tensor': {
      const mapped = type.tensor.dimensions.filter((d) => d.size === undefined).length;
      const indexed = type.tensor.dimensions.length - mapped;
      if (!format.startsWith('hex') || indexed === 0 || mapped > 1) return { kind: 'printed anew', field };
      // Stored are `{"label":"hex",…}`, and `{"":"hex"}` where no dimension is mapped.
      const [skip, skipEnd] = mapped === 0 ? ['{"":'.length, '}'.length] : [0, 0];
      if (format === 'hex-value') return { kind: 'framed', field, before: '', skip, skipEnd, after: '' };
      const key = mapped === 0 ? 'values' : 'blocks';
      const before = `{"type":${JSON.stringify(tensorTypeText(type.tensor))},"${key}":`;
      return { kind: 'framed', field, before, skip, skipEnd, after: '}' };
    }
    // Java prints floating-point numbers in its own way, wherever they are.
    case 'float':
    case 'double':
      return { kind: 'number', field, digits: type.kind === 'float' ? FLOAT_DIGITS : Infinity };
    case 'array':
    case 'map':
      return isPlain(type) ? { kind: 'as it is' } : { kind: 'printed anew', field };
    default:
      return { kind: 'as it is' };
  }
}

function isPlain(type: Field['type']): boolean {
  if (type.kind === 'array') return isPlain(type.element);
  if (type.kind === 'map') return isPlain(type.value);
  return type.kind !== 'float' && type.kind !== 'double' && type.kind !== 'tensor';
}

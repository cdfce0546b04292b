import type { Schema } from '../model.js';
import type { DocumentStore, FieldValue, StoredDocument, TensorValue } from '../store.js';

/** bm25's usual constants, Vespa's defaults. */
const K1 = 1.2;
const B = 0.75;

/** Words as Vespa's tokenizer cuts them, lower-cased and normalised; no stemming. */
export function tokenize(text: string): string[] {
  return (
    text
      .normalize('NFKC')
      .toLowerCase()
      .match(/[\p{L}\p{M}\p{N}]+/gu) ?? []
  );
}

export type Attributes = ReadonlyMap<string, FieldValue>;

/** Text indexes and attribute values of one schema, kept up with the store before each query. */
export class SchemaIndex {
  private version = -1;
  private readonly postings = new Map<string, Map<string, Map<string, number>>>();
  private readonly lengths = new Map<string, Map<string, number>>();
  private readonly totals = new Map<string, number>();
  private readonly values = new Map<string, Attributes>();
  /** Of the fields that a nearestNeighbor has asked for; as attributes they are in memory at the real one too. */
  private readonly vectors = new Map<string, Map<string, TensorValue>>();

  constructor(
    readonly schema: Schema,
    private readonly store: DocumentStore,
  ) {}

  refresh(): void {
    const { name } = this.schema;
    const now = this.store.version(name);
    if (now === this.version) return;
    const changed = this.version < 0 ? undefined : this.store.changesSince(name, this.version);
    if (changed === undefined) {
      this.clear();
      for (const document of this.store.plainDocuments(name)) this.add(document);
    } else {
      for (const id of changed) {
        this.remove(id);
        const document = this.store.getPlain(name, id);
        if (document) this.add(document);
      }
    }
    this.version = now;
  }

  get ids(): IterableIterator<string> {
    return this.values.keys();
  }

  get size(): number {
    return this.values.size;
  }

  /** Everything of a document but its tensors, which are read when ranking asks. */
  attributes(id: string): Attributes {
    return this.values.get(id) ?? new Map<string, FieldValue>();
  }

  /** A tensor field's values by document. */
  tensors(field: string): ReadonlyMap<string, TensorValue> {
    let vectors = this.vectors.get(field);
    if (vectors === undefined) {
      this.vectors.set(field, (vectors = new Map<string, TensorValue>()));
      for (const document of this.store.documents(this.schema.name)) keepTensor(vectors, field, document);
    }
    return vectors;
  }

  has(field: string, word: string, id: string): boolean {
    return this.postings.get(field)?.get(word)?.has(id) ?? false;
  }

  /** Sum over the words of idf × saturated frequency. */
  bm25(field: string, words: readonly string[], id: string): number {
    const length = this.lengths.get(field)?.get(id);
    if (length === undefined) return 0;
    const documents = this.size;
    const average = (this.totals.get(field) ?? 0) / Math.max(1, this.lengths.get(field)!.size);
    let score = 0;
    for (const word of words) {
      const list = this.postings.get(field)?.get(word);
      const frequency = list?.get(id) ?? 0;
      if (frequency === 0) continue;
      const idf = Math.log(1 + (documents - list!.size + 0.5) / (list!.size + 0.5));
      score += (idf * frequency * (K1 + 1)) / (frequency + K1 * (1 - B + (B * length) / average));
    }
    return score;
  }

  private add({ id, fields }: StoredDocument): void {
    const kept = new Map<string, FieldValue>();
    for (const [name, value] of fields) {
      const field = this.schema.fields.get(name);
      if (field === undefined || field.type.kind === 'tensor') continue;
      kept.set(name, value);
      if (!field.index) continue;
      this.addText(name, id.text, wordsOf(value));
    }
    this.values.set(id.text, kept);
    if (this.vectors.size === 0) return;
    const whole = this.store.get(this.schema.name, id.text);
    for (const [field, vectors] of this.vectors) if (whole) keepTensor(vectors, field, whole);
  }

  private addText(field: string, id: string, words: readonly string[]): void {
    const lists = getOrAdd(this.postings, field, () => new Map<string, Map<string, number>>());
    for (const word of words) {
      const list = getOrAdd(lists, word, () => new Map<string, number>());
      list.set(id, (list.get(id) ?? 0) + 1);
    }
    getOrAdd(this.lengths, field, () => new Map<string, number>()).set(id, words.length);
    this.totals.set(field, (this.totals.get(field) ?? 0) + words.length);
  }

  private remove(id: string): void {
    const kept = this.values.get(id);
    if (kept === undefined) return;
    this.values.delete(id);
    for (const vectors of this.vectors.values()) vectors.delete(id);
    for (const [field, lengths] of this.lengths) {
      const length = lengths.get(id);
      if (length === undefined) continue;
      lengths.delete(id);
      this.totals.set(field, this.totals.get(field)! - length);
      const lists = this.postings.get(field)!;
      for (const word of wordsOf(kept.get(field))) {
        const list = lists.get(word);
        if (list?.delete(id) && list.size === 0) lists.delete(word);
      }
    }
  }

  private clear(): void {
    for (const map of [this.postings, this.lengths, this.totals, this.values, this.vectors]) map.clear();
  }
}

/** Of a text, or of several. */
function wordsOf(value: FieldValue | undefined): string[] {
  if (typeof value === 'string') return tokenize(value);
  if (!Array.isArray(value)) return [];
  return (value as readonly FieldValue[]).filter((v) => typeof v === 'string').flatMap(tokenize);
}

function keepTensor(into: Map<string, TensorValue>, field: string, { id, fields }: StoredDocument): void {
  const value = fields.get(field) as TensorValue | undefined;
  if (value !== undefined) into.set(id.text, value);
}

function getOrAdd<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}

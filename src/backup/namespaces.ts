import { CONTENT_NAMESPACE, MEMORY_NAMESPACE } from '../domain/naming.js';
import { type BaseSchema, MEMORY_SCHEMA } from '../domain/profiles.js';

/** The Vespa namespace of a schema's documents. */
export function namespaceOf(base: BaseSchema): string {
  return base === MEMORY_SCHEMA ? MEMORY_NAMESPACE : CONTENT_NAMESPACE;
}

import { XMLParser, XMLValidator } from 'fast-xml-parser';
import type { ApplicationModel, Schema } from '../model.js';
import { parseExpression } from '../search/expression.js';
import type { PackageFiles } from './archive.js';
import { SchemaError, parseSd } from './sdParser.js';

/** A package that the config server refuses; `code` and message as in its answer. */
export class PackageError extends Error {
  constructor(
    readonly code: 'INVALID_APPLICATION_PACKAGE' | 'BAD_REQUEST',
    message: string,
  ) {
    super(message);
  }
}

const invalid = (message: string) =>
  new PackageError('INVALID_APPLICATION_PACKAGE', `Invalid application: ${message}`);

/** Builds the model of a package as the config server would. @throws PackageError */
export function buildModel(files: PackageFiles, generation: number): ApplicationModel {
  const services = files.get('services.xml');
  if (services === undefined) {
    throw new PackageError(
      'BAD_REQUEST',
      `Error preprocessing application package for default.default, session id ${generation}: services.xml does not exist in application package. There are ${files.size} files in the directory`,
    );
  }
  const { containerCluster, contentCluster, types } = readServices(services.toString('utf8'));
  const schemas = readSchemas(files);
  const mapped = new Map<string, Schema>();
  for (const type of types) {
    const schema = schemas.get(type);
    if (schema === undefined) throw invalid(`Document type '${type}' not found in application package`);
    if (mapped.has(type))
      throw invalid(`Document type '${type}' is already defined in content cluster '${contentCluster}'`);
    mapped.set(type, schema);
  }
  return { generation, containerCluster, contentCluster, schemas: mapped };
}

interface Services {
  readonly containerCluster: string;
  readonly contentCluster: string;
  readonly types: readonly string[];
}

type Xml = Record<string, unknown>;

export function readServices(text: string): Services {
  const valid = XMLValidator.validate(text);
  if (valid !== true)
    throw invalid(`Invalid XML in services.xml: ${valid.err.msg} at line ${valid.err.line}`);
  const parser = new XMLParser({
    ignoreAttributes: false,
    attributeNamePrefix: '@',
    isArray: (name) => ['container', 'content', 'document', 'documents'].includes(name),
  });
  const root = (parser.parse(text) as Xml)['services'] as Xml | undefined;
  if (root === undefined || typeof root !== 'object')
    throw invalid('Invalid XML according to XML schema, error in services.xml: no services element');
  const container = (root['container'] as Xml[] | undefined)?.[0];
  const content = (root['content'] as Xml[] | undefined)?.[0];
  const documents = (content?.['documents'] as (Xml | string)[] | undefined)?.[0];
  const list = typeof documents === 'object' ? ((documents['document'] as Xml[] | undefined) ?? []) : [];
  return {
    containerCluster: attribute(container?.['@id'], 'default'),
    contentCluster: attribute(content?.['@id'], 'content'),
    types: list.map((document) => String(document['@type'])),
  };
}

function attribute(value: unknown, fallback: string): string {
  return typeof value === 'string' ? value : fallback;
}

function readSchemas(files: PackageFiles): Map<string, Schema> {
  const schemas = new Map<string, Schema>();
  const hashes = new Map<number, string>();
  for (const [path, body] of files) {
    const file = /^schemas\/([^/]+)\.sd$/.exec(path)?.[1];
    if (file === undefined) continue;
    const schema = readSchema(path, body.toString('utf8'));
    if (schema.name !== file) {
      throw invalid(
        `The file containing schema '${schema.name}' must be named '${schema.name}.sd', was '${path.slice('schemas/'.length)}'`,
      );
    }
    const hash = javaHash(schema.name);
    // The document type's id is its name's hash: two of one hash are one type to Vespa.
    if (hashes.has(hash)) throw invalid(`Document type document type '${schema.name}' is already registered`);
    hashes.set(hash, schema.name);
    schemas.set(schema.name, schema);
  }
  return schemas;
}

function readSchema(path: string, text: string): Schema {
  try {
    const schema = parseSd(text, path);
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(schema.name))
      throw new SchemaError(`Could not parse schema file '${path}': illegal name '${schema.name}'`);
    if (schema.documentName !== schema.name) {
      throw new SchemaError(
        `For schema '${schema.name}': the document name must be the schema name, was '${schema.documentName}'`,
      );
    }
    checkRankProfiles(schema);
    return schema;
  } catch (error) {
    if (error instanceof SchemaError) throw invalid(error.message);
    throw error;
  }
}

/** What the real model checks of expressions: that they parse, and that their features and inputs are there. */
function checkRankProfiles(schema: Schema): void {
  for (const profile of schema.rankProfiles.values()) {
    const expressions = [
      profile.firstPhase,
      profile.secondPhase?.expression,
      ...[...profile.functions.values()].map((f) => f.expression),
    ];
    for (const expression of expressions.filter((e) => e !== undefined)) {
      const where = `In schema '${schema.name}', rank profile '${profile.name}'`;
      let features: readonly { name: string; argument: string }[];
      try {
        features = parseExpression(expression).features;
      } catch (error) {
        throw new SchemaError(`${where}: The expression could not be parsed: ${(error as Error).message}`);
      }
      for (const { name, argument } of features) {
        if (name === 'attribute' && !schema.fields.get(argument.split(',')[0]!)?.attribute) {
          throw new SchemaError(`${where}: attribute(${argument}) is not an attribute of the schema`);
        }
        if (name === 'bm25' && !schema.fields.get(argument)?.index) {
          throw new SchemaError(`${where}: bm25(${argument}): the field is not an index field`);
        }
      }
    }
  }
}

function javaHash(text: string): number {
  let hash = 0;
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0;
  return hash;
}

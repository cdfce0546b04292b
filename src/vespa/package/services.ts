import { OpsError } from '../../domain/errors.js';
import { elementsOf } from './xml.js';

/** Cluster names of an application that we begin ourselves, as in the original. */
export const CONTAINER_CLUSTER = 'cogniverse_container';
export const CONTENT_CLUSTER = 'cogniverse_content';

/** `services.xml` of an application that does not exist yet: one container cluster, one content cluster, one node. */
export function initialServices(schemas: readonly string[]): string {
  return `<?xml version="1.0" encoding="utf-8" ?>
<services version="1.0">
  <container id="${CONTAINER_CLUSTER}" version="1.0">
    <search/>
    <document-api/>
    <nodes>
      <node hostalias="node1"/>
    </nodes>
  </container>
  <content id="${CONTENT_CLUSTER}" version="1.0">
    <redundancy>1</redundancy>
    <documents>
${schemas.map((name) => `      ${documentLine(name)}\n`).join('')}    </documents>
    <nodes>
      <node hostalias="node1" distribution-key="0"/>
    </nodes>
  </content>
</services>
`;
}

export const INITIAL_HOSTS = `<?xml version="1.0" encoding="utf-8" ?>
<hosts>
  <host name="localhost">
    <alias>node1</alias>
  </host>
</hosts>
`;

/** Document types that `services.xml` maps to a content cluster, in its order. */
export function mappedSchemas(services: string): string[] {
  return parts(services).mappings.map(({ type }) => type);
}

/**
 * Puts mappings in and takes mappings out, and leaves every other byte as it was: the file may be somebody else's. What
 * was added and is taken out again leaves no trace.
 *
 * @throws OpsError `Rejected` when the file has no place for them, or more than one
 */
export function editServices(
  services: string,
  change: { readonly add: readonly string[]; readonly remove: readonly string[] },
): string {
  const { mappings, insertAt } = parts(services);
  let edited = services;
  // From the end, so that earlier positions stay true.
  const lines = change.add.filter((name) => !mappings.some(({ type }) => type === name)).map(documentLine);
  if (lines.length > 0) {
    const lineStart = startOfLine(services, insertAt);
    const indent = services.slice(lineStart, insertAt);
    edited =
      indent.trim() === '' && lineStart > 0
        ? insert(
            edited,
            lineStart,
            lines.map((line) => `${indent}  ${line}${lineEnd(services, lineStart)}`),
          )
        : insert(edited, insertAt, lines);
  }
  for (const { type, start, end } of mappings.toReversed()) {
    if (!change.remove.includes(type)) continue;
    // The whole line goes when the element was alone on it.
    const lineStart = startOfLine(edited, start);
    const rest = /^[ \t]*\r?\n/.exec(edited.slice(end))?.[0];
    const alone = rest !== undefined && edited.slice(lineStart, start).trim() === '';
    edited = alone
      ? edited.slice(0, lineStart) + edited.slice(end + rest.length)
      : edited.slice(0, start) + edited.slice(end);
  }
  return edited;
}

/** Id of the content cluster that holds the documents; `*` in a visit would only name it in an error. */
export function contentClusterOf(services: string): string {
  return (
    elementsOf(services)
      .find(({ name }) => name === 'content')
      ?.attributes.get('id') ?? CONTENT_CLUSTER
  );
}

function documentLine(name: string): string {
  return `<document type="${name}" mode="index"/>`;
}

function insert(text: string, at: number, pieces: readonly string[]): string {
  return text.slice(0, at) + pieces.join('') + text.slice(at);
}

function startOfLine(text: string, at: number): number {
  return text.lastIndexOf('\n', at - 1) + 1;
}

/** The line end before a line, so that a file keeps to one kind. */
function lineEnd(text: string, lineStart: number): string {
  return text[lineStart - 2] === '\r' ? '\r\n' : '\n';
}

interface Mapping {
  readonly type: string;
  readonly start: number;
  readonly end: number;
}

/** The `<document>` elements of the one `<documents>` of a `<content>`, and where another one goes. */
function parts(services: string): { mappings: Mapping[]; insertAt: number } {
  const elements = elementsOf(services);
  const blocks = elements.filter(({ name, parent }) => name === 'documents' && parent === 'content');
  const block = blocks[0];
  if (blocks.length !== 1 || block?.bodyEnd === undefined) {
    throw new OpsError(
      'Rejected',
      `services.xml has ${blocks.length} <documents> in a <content> where one with an end tag is needed`,
      'keep exactly one content cluster with <documents>…</documents>',
    );
  }
  const mappings = elements.flatMap(({ name, parent, attributes, start, end }) => {
    const type = attributes.get('type');
    const within = start > block.start && end <= block.end;
    return name === 'document' && parent === 'documents' && within && type !== undefined
      ? [{ type, start, end }]
      : [];
  });
  return { mappings, insertAt: block.bodyEnd };
}
